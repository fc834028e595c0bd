"""How well methods find what is known to be there, and what they cost: ``python -m tools.truth``."""
