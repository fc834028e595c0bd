"""ONNX in, ONNX out: load and check, canonicalise, find the score and the layers."""
