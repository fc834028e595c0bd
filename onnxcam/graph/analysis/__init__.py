"""Questions about a graph, answered without changing it."""
