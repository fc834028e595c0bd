"""The kinds of targets, one module each; ``onnxcam.targets.registry`` finds them."""
