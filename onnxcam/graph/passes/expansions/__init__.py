"""Expansions: each function writes one operator that onnxruntime has fused as ONNX's operators again."""
