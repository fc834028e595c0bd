"""Random numbers that stay the same from one NumPy release to the next."""

import numpy as np
from numpy.typing import NDArray


class Randomness:
    """A seeded source of uniform numbers.

    NumPy may change how its generators turn bits into normal or integer draws; plain doubles in [0, 1) have stayed put.
    Everything is therefore made from those, so that a committed sample can be drawn again years later.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def uniform(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def count(self, low: int, high: int) -> int:
        """One whole number in low..high, both included."""
        return int(self.uniform(low, high + 1))

    def array(self, *shape: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """An array of numbers in [low, high)."""
        return low + (high - low) * self._generator.random(shape)

    def colour(self) -> NDArray[np.float64]:
        """One RGB colour, float64 [3], in [0, 255)."""
        return self.array(3, high=255.0)
