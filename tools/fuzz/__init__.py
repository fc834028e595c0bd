"""Mutated model files against everything that reads one: ``python -m tools.fuzz``."""
