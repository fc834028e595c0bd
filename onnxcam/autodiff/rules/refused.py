"""Operators that are not about real numbers, and those that are refused; each says why."""

from __future__ import annotations

from onnxcam.autodiff.registry import refused, zero_gradient

zero_gradient(
    *("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "BitCast"), reason="it works on bits"
)
zero_gradient("NonMaxSuppression", reason="its result is a position")
zero_gradient(
    *("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"), reason="it reads text"
)
zero_gradient("SequenceLength", "OptionalHasElement", reason="its result is a size")
zero_gradient("ImageDecoder", reason="it reads bytes of a file")
zero_gradient("RandomNormal", "RandomUniform", reason="its result is drawn by chance")
zero_gradient("Constant", "SequenceEmpty", reason="its result is made of constants")
zero_gradient(
    *("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix"), reason="its result depends on a size alone"
)

refused(
    "Loop",
    reason="its number of steps is only known while the graph runs, or above 256, or makes more than 20000 nodes; "
    "export with a fixed and smaller number",
)
refused(
    *("SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceAt", "SplitToSequence", "ConcatFromSequence"),
    reason="lists of tensors are taken apart where their lengths and positions are fixed in the file, and only there; "
    "export the model with fixed ones",
)
refused(
    *("SequenceMap", "Optional", "OptionalGetElement"),
    reason="its values are lists of tensors or may be missing; export the model with tensors alone",
)
refused("Unique", reason="numbers that are equal fall together, so that its result has no fixed size")
refused("Upsample", reason="it is raised to Resize in main-domain models below opset 18 and exists in no later opset")
refused("DeformConv", reason="its windows move with the input; choose a later layer (closer to the output)")
refused("MaxRoiPool", reason="it does not output which position of a region was the maximum; export it as RoiAlign")
refused("TensorScatter", reason="it writes into a cache of earlier runs; export the model without a cache")
refused("CumProd", reason="its derivative divides by what it multiplies, which may be 0; write it out as products")
refused("Det", reason="its derivative needs the inverse matrix, which ONNX has no operator for")
refused("DFT", "STFT", reason="spectra are complex numbers; compute them before the model")
