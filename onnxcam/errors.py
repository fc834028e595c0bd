"""Everything that onnxcam raises on purpose, as one tree.

    OnnxcamError
      ModelError            the file is no model that can be loaded           exit code 3
      UnsupportedError      an operator without a rule, a head without CAM    exit code 4
        NoRuleError         an operator between layer and score has no rule   the same
      NameNotFoundError     no layer, score, method or target of that name    exit code 5
      DependencyError       the score does not depend on the layer            exit code 6
        NoGradientError     it does, but as a piecewise constant              the same
      TargetError           a class out of range                              exit code 7
      ImageError            the image cannot be read or does not fit          exit code 8
      InputError            an array, file or option that is not accepted    exit code 9
      ProviderError         the requested provider does not load or fails     exit code 10
        OutOfMemoryError    there is too little memory                        the same
      VerificationError     two computations of one gradient disagree         exit code 11

    OnnxcamWarning          preprocessing that is only assumed

Exit code 1 is Python's (an unexpected failure), 2 is click's (wrong usage).
Every message is one line that says what, where, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class OnnxcamError(Exception):
    """Root of the tree; ``exit_code`` is what the command line returns."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ModelError(OnnxcamError):
    """The file is not an ONNX model, or not one that can be read safely."""

    exit_code = 3


class UnsupportedError(OnnxcamError):
    """The graph holds something that cannot be differentiated or explained in the way asked for."""

    exit_code = 4


class NoRuleError(UnsupportedError):
    """Operators between the layer and the score have no gradient rule; methods without a gradient may still apply."""


class NameNotFoundError(OnnxcamError):
    """A layer, score, method, label or format of that name does not exist."""

    exit_code = 5


class DependencyError(OnnxcamError):
    """The score does not depend on the value whose gradient is asked for."""

    exit_code = 6


class NoGradientError(DependencyError):
    """The score is a piecewise constant function of the value; methods without a gradient may still apply."""


class TargetError(OnnxcamError):
    """The target to explain does not exist in the scores."""

    exit_code = 7


class ImageError(OnnxcamError):
    """An image cannot be read, or does not fit the model's input."""

    exit_code = 8


class InputError(OnnxcamError):
    """An array does not suit the model, or an option, a field or a file has a value that is not accepted."""

    exit_code = 9


class ProviderError(OnnxcamError):
    """An execution provider does not load, or fails while it runs."""

    exit_code = 10


class OutOfMemoryError(ProviderError):
    """There is too little memory for a run, or for the arrays around it."""


class VerificationError(OnnxcamError):
    """A gradient disagrees with finite differences, another provider or another engine."""

    exit_code = 11


class OnnxcamWarning(UserWarning):
    """Preprocessing that is only assumed; warnings about maps are in ``Explanation.warnings``."""


def did_you_mean(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return ``"; did you mean ...?"`` for the nearest known names, or an empty string when none is near."""
    near = difflib.get_close_matches(name, list(known), n=limit, cutoff=0.5)
    return f"; did you mean {', '.join(near)}?" if near else ""
