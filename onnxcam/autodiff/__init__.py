"""Reverse-mode differentiation of ONNX graphs, in ONNX: a driver, and a table of rules that are data."""
