"""The cross-framework audit set: one classifier, and networks of each framework's own kind, by their exporters."""
