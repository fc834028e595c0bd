"""Benchmarks, one file a question; ``tools/bench.py`` runs them."""
