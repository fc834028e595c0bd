"""The metrics, one module each; ``onnxcam.metrics.registry`` finds them."""
