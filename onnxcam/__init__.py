"""White-box visual explanations for the ONNX file that you deploy."""
