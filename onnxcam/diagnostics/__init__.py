"""Looking at a file without explaining anything: what it offers, and whether its gradients are right."""
