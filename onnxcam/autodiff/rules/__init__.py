"""Derivatives, one file a family of operators; importing a file registers its rules."""
