"""Metrics: numbers that say how good maps are. They compute on arrays, and ask a view for what needs the model."""
