"""What a metric may ask about the samples whose maps it measures."""

from __future__ import annotations

from typing import Protocol

from onnxcam.arrays import Array


class ExplainedSamples(Protocol):
    """One batch of ``N`` samples with their maps; arrays are NumPy, ``*space`` is the size of the image input.

    A metric that declares no need for it must not ask for ``masks`` or ``probability``: there may be none.
    """

    @property
    def maps(self) -> Array:
        """Raw maps at the input's size, signed and not normalised, ``[N, *space]``; every value is finite."""

    @property
    def images(self) -> Array:
        """The images as the model takes them, channels first, ``[N, C, *space]``."""

    @property
    def masks(self) -> Array:
        """Where the explained object is, bool ``[N, *space]``, where the metric needs the truth."""

    def probability(self, images: Array, samples: Array) -> Array:
        """Run the model on changed images, where the metric needs to.

        Args:
            images: ``[M, C, *space]``, any number of them.
            samples: int ``[M]``: for each image the sample, from 0 to ``N - 1``, whose target is asked for.

        Returns:
            The probability of that target, ``[M]``; its score where it has no probability.
        """
