"""How faithful LRP's composites are, and how much of the score each of them brings to the input."""
