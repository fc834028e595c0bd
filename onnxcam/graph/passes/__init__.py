"""Passes: each file holds one class whose call returns onnx_ir's ``PassResult``, the model and whether it was modified.

``canonicalize`` runs the pipeline that every model goes through. Functions beside the passes are what answers with more
than a model: ``cut``, ``dequantize_layer``, ``score_batch_axis``, ``inline_functions``, and what passes share:
``body_copier``, ``clone``, ``sizes``.
"""
