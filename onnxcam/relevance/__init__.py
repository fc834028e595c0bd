"""Other tables of rules for the same walk through the graph as the gradient's."""
