"""Properties of operators: the one table of traits that every part of onnxcam reads.

A trait holds for the operator itself, whatever a method makes of it. There is one row for each operator. Where a trait
depends on attributes (``Clip``, ``Pad``, ``Resize``, ...), the row has it only if it holds for all of their values;
code that needs more looks at the node.
Names count without their domain: where Microsoft's domain has an operator of ONNX's name, it has the same traits.

To add an operator, add a row. A test fails for an operator that has a derivative rule and no row, and others hold the
traits that are mathematics (element-wise, never negative, linear, ...) against numbers.
"""

from __future__ import annotations

from enum import Flag, auto
from functools import cache


class Trait(Flag):
    """One property of an operator."""

    NONE = 0

    ELEMENTWISE = auto()
    """Each number of the result depends on the numbers at its own position alone (after broadcasting), by the same
    function at every position."""
    FUNCTION = auto()
    """An element-wise function of the first input that is not linear; further inputs are its parameters."""
    ACTIVATION = auto()
    """A function that networks apply to a layer's result."""
    RECTIFIER = auto()
    """ReLU or an activation used like it: close to the identity above 0, small below 0, without an upper bound."""
    SQUASHES = auto()
    """Brings numbers into a bounded range without changing their order (``Clip``: where it has both bounds;
    ``HardSigmoid``: where alpha is positive)."""
    IN_ACTIVATIONS = auto()
    """Element-wise, and used to write out activations that a file has no single operator for."""

    NONNEGATIVE = auto()
    """The result is never negative, whatever is read."""
    NONNEGATIVE_IF_FIRST = auto()
    """The result is not negative where the first input is not."""
    NONNEGATIVE_IF_ALL = auto()
    """The result is not negative where no input is."""

    LINEAR_IN_ALL = auto()
    """Affine in all floating-point inputs together."""
    LINEAR_IN_FIRST = auto()
    """Affine in the first input, the others being fixed."""
    LINEAR_IN_EACH = auto()
    """Affine in each input, the others being fixed: a product."""
    SCALES = auto()
    """Not linear, but the first input times a positive number gives the result times that number."""
    WEIGHTED = auto()
    """A layer with weights: the first two inputs are multiplied, and mostly one of them is stored in the file."""
    TAKES_BIAS = auto()
    """Adds its third input to such a product."""

    COPIES = auto()
    """The result is the first input as it is."""
    CONVERTS = auto()
    """The numbers of the first input in another type, rounded where it is narrower; scales are parameters."""
    RESHAPES = auto()
    """The same numbers in the same order, in another shape."""
    MOVES = auto()
    """Numbers are moved, repeated, left out, or set beside fixed ones, by positions that do not depend on them."""
    PICKS = auto()
    """Each number of the result is the largest or smallest of several numbers of the first input."""

    AVERAGES = auto()
    """Means over windows or axes."""
    REDUCES = auto()
    """One number for all positions along some axes, which an attribute or the second input names."""
    POOLS = auto()
    """One number for each window, region or map of a channel."""
    NORMALISES = auto()
    """Moves and scales numbers by statistics, stored ones or their own."""

    CHANNELS_FIRST = auto()
    """Reads the first input as ``[N, C, *space]``."""
    NEW_AXES = auto()
    """The axes of the result mean something else than those of what is read, also where there are as many."""

    INTEGER_SUM = auto()
    """Adds up products of quantised numbers in 32-bit integers."""
    TRUTH = auto()
    """The result is true or false."""
    SIZES = auto()
    """The result is 64-bit integers that depend on the shape of what is read alone."""
    POSITIONS = auto()
    """The result is 64-bit integers: positions in what is read."""
    RANDOM = auto()
    """The result is random."""
    BODIES = auto()
    """Runs graphs of its own: branches, or the body of a loop."""


def traits(op_type: str) -> Trait:
    """Return the traits of an operator; ``Trait.NONE`` where it is not in the table."""
    return OPERATORS.get(op_type, Trait.NONE)


@cache
def operators_with(any_of: Trait) -> frozenset[str]:
    """Return the operators that have at least one of some traits, written ``Trait.COPIES | Trait.CONVERTS``."""
    return frozenset(op_type for op_type, found in OPERATORS.items() if found & any_of)


_T = Trait
_FIRST, _ALL = _T.NONNEGATIVE_IF_FIRST, _T.NONNEGATIVE_IF_ALL
_FUNCTION = _T.ELEMENTWISE | _T.FUNCTION
_ACTIVATION = _FUNCTION | _T.ACTIVATION
_RECTIFIER = _ACTIVATION | _T.RECTIFIER
_MOVE = _T.MOVES | _T.LINEAR_IN_FIRST | _FIRST
_RESHAPE = _T.RESHAPES | _T.MOVES | _T.LINEAR_IN_ALL | _FIRST
_COPY = _T.ELEMENTWISE | _T.COPIES | _T.LINEAR_IN_ALL | _FIRST
_LAYER = _T.WEIGHTED | _T.LINEAR_IN_EACH
_POOL = _T.POOLS | _T.CHANNELS_FIRST
_COMPARISON = _T.ELEMENTWISE | _T.TRUTH

OPERATORS: dict[str, Trait] = {
    # Activations.
    "Relu": _RECTIFIER | _T.SCALES | _T.IN_ACTIVATIONS | _T.NONNEGATIVE,
    "LeakyRelu": _RECTIFIER | _T.SCALES | _FIRST,
    "PRelu": _RECTIFIER | _T.SCALES | _FIRST,
    "ThresholdedRelu": _RECTIFIER | _FIRST,
    "Elu": _RECTIFIER | _FIRST,
    "Selu": _RECTIFIER,
    "Celu": _RECTIFIER | _FIRST,
    "Gelu": _RECTIFIER | _FIRST,
    "Mish": _RECTIFIER | _FIRST,
    "Swish": _RECTIFIER | _FIRST,
    "HardSwish": _RECTIFIER | _FIRST,
    "Clip": _ACTIVATION | _T.IN_ACTIVATIONS | _T.SQUASHES,
    "Sigmoid": _ACTIVATION | _T.IN_ACTIVATIONS | _T.SQUASHES | _T.NONNEGATIVE,
    "HardSigmoid": _ACTIVATION | _T.IN_ACTIVATIONS | _T.SQUASHES | _T.NONNEGATIVE,
    "Tanh": _ACTIVATION | _T.IN_ACTIVATIONS | _T.SQUASHES | _FIRST,
    "Softsign": _ACTIVATION | _T.SQUASHES | _FIRST,
    # No rectifier here: Mish is written out with it, and would be rectified twice.
    "Softplus": _ACTIVATION | _T.IN_ACTIVATIONS | _T.NONNEGATIVE,
    "Shrink": _ACTIVATION,
    # Other functions of one value.
    "Exp": _FUNCTION | _T.IN_ACTIVATIONS | _T.NONNEGATIVE,
    "Log": _FUNCTION | _T.IN_ACTIVATIONS,
    "Sqrt": _FUNCTION | _T.IN_ACTIVATIONS | _T.NONNEGATIVE,
    "Pow": _FUNCTION | _T.IN_ACTIVATIONS,
    "Reciprocal": _FUNCTION | _T.IN_ACTIVATIONS,
    "Erf": _FUNCTION | _T.IN_ACTIVATIONS | _T.SQUASHES | _FIRST,
    "Abs": _FUNCTION | _T.SCALES | _T.NONNEGATIVE,
    "Sin": _FUNCTION,
    "Cos": _FUNCTION,
    "Tan": _FUNCTION,
    "Asin": _FUNCTION | _FIRST,
    "Acos": _FUNCTION | _T.NONNEGATIVE,
    "Atan": _FUNCTION | _T.SQUASHES | _FIRST,
    "Sinh": _FUNCTION | _FIRST,
    "Cosh": _FUNCTION | _T.NONNEGATIVE,
    "Asinh": _FUNCTION | _FIRST,
    "Acosh": _FUNCTION | _T.NONNEGATIVE,
    "Atanh": _FUNCTION | _FIRST,
    "Sign": _FUNCTION | _FIRST,
    "Round": _FUNCTION | _FIRST,
    "Floor": _FUNCTION | _FIRST,
    "Ceil": _FUNCTION | _FIRST,
    # Arithmetic.
    "Neg": _T.ELEMENTWISE | _T.IN_ACTIVATIONS | _T.LINEAR_IN_ALL,
    "Add": _T.ELEMENTWISE | _T.IN_ACTIVATIONS | _T.LINEAR_IN_ALL | _ALL,
    "Sub": _T.ELEMENTWISE | _T.IN_ACTIVATIONS | _T.LINEAR_IN_ALL,
    "Mul": _T.ELEMENTWISE | _T.IN_ACTIVATIONS | _T.LINEAR_IN_EACH | _ALL,
    "Div": _T.ELEMENTWISE | _T.IN_ACTIVATIONS | _T.LINEAR_IN_FIRST,
    "Sum": _T.ELEMENTWISE | _T.LINEAR_IN_ALL | _ALL,
    "Mean": _T.ELEMENTWISE | _T.LINEAR_IN_ALL | _ALL,
    "Max": _T.ELEMENTWISE | _T.IN_ACTIVATIONS | _ALL,
    "Min": _T.ELEMENTWISE | _T.IN_ACTIVATIONS | _ALL,
    "Mod": _T.ELEMENTWISE,
    "Where": _T.ELEMENTWISE | _ALL,
    # Copies and other types.
    "Identity": _COPY,
    "Dropout": _COPY,
    "Cast": _T.ELEMENTWISE | _T.CONVERTS | _T.LINEAR_IN_ALL | _FIRST,
    "CastLike": _T.ELEMENTWISE | _T.CONVERTS | _T.LINEAR_IN_FIRST | _FIRST,
    "QuantizeLinear": _T.CONVERTS,
    "DequantizeLinear": _T.CONVERTS,
    "DynamicQuantizeLinear": _T.NONE,
    # Numbers in other positions.
    "Reshape": _RESHAPE,
    "Flatten": _RESHAPE,
    "Squeeze": _RESHAPE,
    "Unsqueeze": _RESHAPE,
    "Transpose": _T.MOVES | _T.LINEAR_IN_ALL | _FIRST,
    "Concat": _T.MOVES | _T.LINEAR_IN_ALL | _ALL,
    "Split": _MOVE,
    "Slice": _MOVE,
    "Expand": _MOVE,
    "Tile": _MOVE,
    "Pad": _T.MOVES | _T.LINEAR_IN_FIRST,
    "CenterCropPad": _MOVE,
    "DepthToSpace": _MOVE | _T.CHANNELS_FIRST,
    "SpaceToDepth": _MOVE | _T.CHANNELS_FIRST,
    "Gather": _MOVE | _T.NEW_AXES,
    "GatherND": _MOVE | _T.NEW_AXES,
    "GatherElements": _MOVE,
    "Compress": _MOVE,
    "ReverseSequence": _MOVE,
    "Trilu": _MOVE,
    "MaxUnpool": _MOVE,
    "ScatterElements": _T.NONE,
    "ScatterND": _T.NONE,
    "TopK": _T.PICKS | _FIRST,
    "OneHot": _T.NONE,
    # Layers with weights, and sums of products.
    "Conv": _LAYER | _T.TAKES_BIAS | _T.CHANNELS_FIRST | _ALL,
    "ConvTranspose": _LAYER | _T.TAKES_BIAS | _T.CHANNELS_FIRST | _ALL,
    "Gemm": _LAYER | _T.TAKES_BIAS | _T.NEW_AXES,
    "MatMul": _LAYER | _ALL,
    "Einsum": _T.LINEAR_IN_EACH | _T.NEW_AXES | _ALL,
    "CumSum": _T.LINEAR_IN_FIRST | _FIRST,
    "Col2Im": _T.LINEAR_IN_FIRST | _FIRST,
    "Inverse": _T.NEW_AXES,  # rows become columns
    # Pools.
    "MaxPool": _POOL | _T.PICKS | _FIRST,
    "AveragePool": _POOL | _T.AVERAGES | _T.LINEAR_IN_ALL | _FIRST,
    "LpPool": _POOL | _T.SCALES | _T.NONNEGATIVE,
    "GlobalMaxPool": _POOL | _T.PICKS | _FIRST,
    "GlobalAveragePool": _POOL | _T.AVERAGES | _T.LINEAR_IN_ALL | _FIRST,
    "GlobalLpPool": _POOL | _T.SCALES | _T.NONNEGATIVE,
    "MaxRoiPool": _T.POOLS | _T.PICKS | _FIRST,
    "RoiAlign": _T.NONE,
    # Reductions.
    "ReduceMean": _T.REDUCES | _T.AVERAGES | _T.LINEAR_IN_FIRST | _FIRST,
    "ReduceSum": _T.REDUCES | _T.LINEAR_IN_FIRST | _FIRST,
    "ReduceMax": _T.REDUCES | _T.PICKS | _FIRST,
    "ReduceMin": _T.REDUCES | _T.PICKS | _FIRST,
    "ReduceProd": _T.REDUCES | _FIRST,
    "ReduceL1": _T.REDUCES | _T.SCALES | _T.NONNEGATIVE,
    "ReduceL2": _T.REDUCES | _T.SCALES | _T.NONNEGATIVE,
    "ReduceSumSquare": _T.REDUCES | _T.NONNEGATIVE,
    "ReduceLogSum": _T.REDUCES,
    "ReduceLogSumExp": _T.REDUCES,
    # Normalisations.
    "BatchNormalization": _T.NORMALISES | _T.CHANNELS_FIRST | _T.LINEAR_IN_FIRST,
    "InstanceNormalization": _T.NORMALISES | _T.CHANNELS_FIRST,
    "GroupNormalization": _T.NORMALISES | _T.CHANNELS_FIRST,
    "LRN": _T.NORMALISES | _T.CHANNELS_FIRST,
    "LayerNormalization": _T.NORMALISES,
    "RMSNormalization": _T.NORMALISES,
    "LpNormalization": _T.NORMALISES | _FIRST,
    "MeanVarianceNormalization": _T.NORMALISES,
    "Softmax": _T.SQUASHES | _T.NONNEGATIVE,
    "LogSoftmax": _T.NONE,
    "Hardmax": _T.NONNEGATIVE,
    # Interpolation.
    "Resize": _T.LINEAR_IN_FIRST,
    "Upsample": _T.LINEAR_IN_FIRST | _FIRST,
    "GridSample": _T.LINEAR_IN_FIRST,
    "AffineGrid": _T.LINEAR_IN_FIRST,
    # Attention and recurrent layers.
    "Attention": _T.NEW_AXES,
    "LSTM": _T.NONE,
    "GRU": _T.NONE,
    "RNN": _T.NONE,
    # Quantised numbers; graph/analysis/quantization.py says which operator on real numbers each stands for.
    "QLinearConv": _T.CHANNELS_FIRST,
    "ConvInteger": _T.CHANNELS_FIRST | _T.INTEGER_SUM,
    "QLinearMatMul": _T.NEW_AXES,
    "MatMulInteger": _T.NEW_AXES | _T.INTEGER_SUM,
    "QGemm": _T.NONE,
    "QLinearAdd": _T.NONE,
    "QLinearMul": _T.NONE,
    "QLinearConcat": _T.NONE,
    "QLinearSigmoid": _T.NONE,
    "QLinearLeakyRelu": _T.NONE,
    "QLinearSoftmax": _T.NONE,
    "QLinearAveragePool": _T.NONE,
    "QLinearGlobalAveragePool": _T.NONE,
    # Comparisons, logic, sizes and positions.
    "Equal": _COMPARISON,
    "Greater": _COMPARISON,
    "GreaterOrEqual": _COMPARISON,
    "Less": _COMPARISON,
    "LessOrEqual": _COMPARISON,
    "And": _COMPARISON,
    "Or": _COMPARISON,
    "Xor": _COMPARISON,
    "Not": _COMPARISON,
    "IsNaN": _COMPARISON,
    "IsInf": _COMPARISON,
    "Shape": _T.SIZES | _T.NEW_AXES,
    "Size": _T.SIZES,
    "ArgMax": _T.POSITIONS,
    "ArgMin": _T.POSITIONS,
    "NonZero": _T.POSITIONS,
    # Random numbers and control flow.
    "RandomNormal": _T.RANDOM,
    "RandomUniform": _T.RANDOM,
    "RandomNormalLike": _T.RANDOM,
    "RandomUniformLike": _T.RANDOM,
    "Bernoulli": _T.RANDOM,
    "Multinomial": _T.RANDOM,
    "If": _T.BODIES,
    "Loop": _T.BODIES,
    "Scan": _T.BODIES,
    "SequenceMap": _T.BODIES,
}
