"""What several formulas share."""
