"""Inspect a model file without explaining anything, and verify its gradients."""
