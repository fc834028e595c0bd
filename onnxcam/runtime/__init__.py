"""Running graphs: the only importer of onnxruntime, which knows nothing of maps."""
