"""What is held against no other code, and why; the loops of its formula stand in ``tests/oracles``."""

from __future__ import annotations

from tests.oracles.agreement import alone

alone("integrated-grad-cam", "no public code of the authors was found, and no library has it")
alone(
    "smooth-grad-cam++",
    "no public code of the authors was found; torch-cam's differs by two terms, with which corrected it agrees",
)
alone("augment", "pytorch-grad-cam scales each map before it takes the mean: the mean of maps so scaled agrees")
alone("fuse", "torch-cam and pytorch-grad-cam subtract each map's minimum first; so subtracted, fused maps agree")
alone("noise", "no library averages the maps of any method so")
