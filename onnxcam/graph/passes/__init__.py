"""Passes: each returns a model in another form, or changes one and says whether it did."""
