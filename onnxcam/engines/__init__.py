"""Compute scores, activations and gradients: onnxruntime on the gradient graph, or torch on the converted file."""
