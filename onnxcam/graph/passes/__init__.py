"""Passes: each file holds one class whose call returns onnx_ir's ``PassResult``, the model and whether it was modified.

``canonicalize`` runs the pipeline that every model goes through. Functions beside the passes are those that return
more than a model, or that take names: ``cut``, ``dequantize_layer``, ``expose``, ``inline_functions``,
``score_batch_axis``; and what passes share: ``body_copier``, ``clone``, ``sizes``.
"""
