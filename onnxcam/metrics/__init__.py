"""Metrics: numbers that say how good maps are. They know arrays only, and ask a view for what arrays do not hold."""
