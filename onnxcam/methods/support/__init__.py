"""Base classes, arithmetic and checks that several formulas share."""
