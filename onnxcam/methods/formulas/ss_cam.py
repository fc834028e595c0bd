"""SS-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, upsample
from onnxcam.methods.formulas.score_cam import ScoreCAM
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.support.masks import masks_at_size, scale_to_unit, value_range
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class SSCAM(ScoreCAM):
    """Score-CAM with weights averaged over random noise on the masks or on the masked images.

    ``L = sum_k w_k A_k``, ``w_k = mean_i p(x * (M_k + d_i))`` or ``mean_i p(x * M_k + d_i)``, with ``d_i`` Gaussian
    noise for each pixel and ``M_k`` as in Score-CAM.

    Source: Wang et al. 2020 (SS-CAM), whose two variants are the noise in the ``mask`` and in the ``image``.

    Differences: here, as in torch-cam, maps are scaled to [0, 1] and sigma is the standard deviation. The authors' code
    (r0cketr1kky/SS-CAM) draws noise of the standard deviation ``(sigma / range)^2``, as ``deviation=authors`` does. In
    the first variant the range is that of the enlarged map, which is not scaled before the noise is added; in the
    second it is that of the masked image. Both codes draw new noise for each channel; here the same noise serves all
    channels and images, so that weights differ by the mask alone, and no map depends on the batch that its image is in.
    With noise added, an image of integers is rounded and clipped to the range of its type.

    Attributes:
        score: weights are the ``probability`` of the target or its ``logit``.
        baseline: subtract the score of a blank image.
        normalise: ``softmax`` over the channels that were run, or ``none``.
        rectify: the display map ``before`` or ``after`` it is enlarged, as in Score-CAM.
        count: number of noisy runs for each channel.
        sigma: standard deviation of the noise; a mask has the range 1, an image that of the preprocessed input.
        noise: added to the ``mask``, or to the masked ``image``.
        deviation: of the noise: ``sigma``, or ``(sigma / range)^2`` and unscaled masks as in the code of the
            ``authors``.
        seed: of the noise.
    """

    name: ClassVar[str] = "ss-cam"
    paper: ClassVar[str] = "wangnaidu2020"
    count: int = 35
    sigma: float = 2.0
    noise: Literal["mask", "image"] = "mask"
    deviation: Literal["sigma", "authors"] = "sigma"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse fewer than one run."""
        super().__post_init__()
        check_counts(self, "count")

    def confidence(self, view: NetworkView, sample: int, masks: Array) -> Array:
        """Return the mean over noise of the score of the image under each mask."""
        x = np.asarray(view.x)[sample]
        if self.deviation == "authors":
            return self._as_authors(view, sample, upsample(masks, x.shape[1:]))
        masks, probability = masks_at_size(masks, x.shape[1:]), self.score == "probability"
        draw = np.random.default_rng(self.seed)
        total = np.zeros(len(masks), masks.dtype)
        for _ in range(self.count):
            if self.noise == "mask":
                noise = self._draw(draw, x[0])
                total += view.masked_image(sample, masks + noise, rescale=False, probability=probability)
            else:
                noise = self._draw(draw, x)
                # (x + d) M + d (1 - M) = x M + d: the same noise inside and outside the mask.
                total += view.masked_image(sample, masks, x + noise, noise, rescale=False, probability=probability)
        return total / self.count

    def _draw(self, draw: np.random.Generator, like: Array) -> Array:
        return (self.sigma * draw.standard_normal(like.shape)).astype(like.dtype)

    def _as_authors(self, view: NetworkView, sample: int, maps: Array) -> Array:
        """Return the same for enlarged maps ``[M, *space]``, with noise whose deviation differs between channels."""
        x, probability, in_mask = np.asarray(view.x)[sample], self.score == "probability", self.noise == "mask"
        masks = scale_to_unit(maps)
        shown = maps if in_mask else x * masks[:, None]
        low, high = value_range(shown)
        span = np.reshape(high - low, (len(maps),))
        deviations = np.where(span > 0, (self.sigma / np.where(span > 0, span, 1)) ** 2, 0).astype(maps.dtype)
        draw = np.random.default_rng(self.seed)
        total = np.zeros(len(maps), maps.dtype)
        for _ in range(self.count):
            noise = draw.standard_normal(x[0].shape if in_mask else x.shape).astype(maps.dtype)
            if in_mask:
                seen = maps + np.reshape(deviations, (-1, *(1 for _ in x[0].shape))) * noise
                total += view.masked_image(sample, seen, rescale=False, probability=probability)
                continue
            for at, deviation in enumerate(deviations):
                added = (x + deviation * noise, deviation * noise)
                one = masks[at : at + 1]
                total[at] += view.masked_image(sample, one, *added, rescale=False, probability=probability)[0]
        return np.where(span > 0, total / self.count, 0)
