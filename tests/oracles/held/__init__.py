"""Comparisons of our maps with other code's, by the kind of method: ``tests/oracles/agreement.py`` says how."""
