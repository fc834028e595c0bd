"""A view made of a small torch network, in float64 or float32: what the formulas ask of a network, without a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from onnxcam.arrays import upsample
from onnxcam.methods.view import Attention, NetworkView
from onnxcam.relevance.composite import Composite
from tests.networks.torch_relevance import chain, propagate

Array = npt.NDArray[Any]


class TorchView:
    """Answers every question by running the network, one sample at a time.

    ``head(trunk(x))`` are logits ``[N, classes]``.
    """

    leading_tokens = 0

    def __init__(
        self,
        trunk: Callable[[Any], Any],
        head: Callable[[Any], Any],
        x: Array,
        targets: Sequence[int],
        affine: bool = False,
    ) -> None:
        """Run the network once, in float32 if that is what the images are."""
        self.trunk, self.after, self.targets, self.affine = trunk, head, list(targets), affine
        self.x = np.asarray(x, np.float32 if np.asarray(x).dtype == np.float32 else np.float64)
        a = trunk(torch.tensor(self.x)).detach().requires_grad_()
        (g,) = torch.autograd.grad(self._of(head(a)).sum(), a)
        self.a: Array = a.detach().numpy()
        self.g: Array = g.numpy()
        self.score: Array = self._of(head(a)).detach().numpy()
        #: What other tests set: layers, biases, attentions.
        self.others: list[NetworkView] = []
        self.runs = 0

    def _of(self, logits: Any, probability: bool = False, targets: Sequence[int] | None = None) -> Any:
        targets = self.targets if targets is None else targets
        values = torch.softmax(logits, dim=1) if probability else logits
        return values[torch.arange(len(targets)), torch.tensor(targets)]

    def _each(self, network: Callable[[Any], Any], values: Array, sample: int, probability: bool) -> Array:
        self.runs += len(values)
        with torch.no_grad():
            logits = network(torch.tensor(values))
        found: Array = self._of(logits, probability, [self.targets[sample]] * len(values)).numpy()
        return found

    def probability(self) -> Array:
        """Softmax of the logits."""
        result: Array = self._of(self.after(torch.tensor(self.a)), True).detach().numpy()
        return result

    def ablated(self, sample: int, keep: Array, probability: bool = False) -> Array:
        """Run the head once for each mask."""
        return self._each(self.after, self.a[sample] * np.asarray(keep), sample, probability)

    def replaced(self, sample: int, values: Array, probability: bool = False) -> Array:
        """Run the head once for each value."""
        return self._each(self.after, np.asarray(values), sample, probability)

    def masked_image(
        self,
        sample: int,
        masks: Array,
        image: Array | None = None,
        background: Array | None = None,
        rescale: bool = True,
        probability: bool = False,
    ) -> Array:
        """Run the network once for each mask."""
        x = self.x[sample] if image is None else image
        shown = np.zeros_like(x) if background is None else background
        seen = []
        for mask in upsample(np.asarray(masks, self.x.dtype), x.shape[1:]):
            low, high = mask.min(), mask.max()
            m = mask if not rescale else (mask - low) / (high - low) if high > low else np.zeros_like(mask)
            seen.append(x * m + shown * (1 - m))
        return self._each(lambda images: self.after(self.trunk(images)), np.stack(seen), sample, probability)

    def with_images(self, x: Array) -> TorchView:
        """Return a view of other images, with the same network and targets."""
        return TorchView(self.trunk, self.after, x, self.targets, self.affine)

    def layers(self) -> Sequence[NetworkView]:
        """Return the views of other layers that the test has set."""
        return self.others

    def hessian_vector_product(self, v: Array) -> Array:
        """Differentiate the product of the gradient with ``v``."""
        a = torch.tensor(self.a).requires_grad_()
        (g,) = torch.autograd.grad(self._of(self.after(a)).sum(), a, create_graph=True)
        if not g.requires_grad:
            return np.zeros_like(self.a)
        (found,) = torch.autograd.grad((g * torch.tensor(v)).sum(), a, allow_unused=True)
        return np.zeros_like(self.a) if found is None else np.asarray(found.numpy())

    def deeplift_multipliers(self) -> Array:
        """Average the gradient on the straight path from 0: the rescale rule where no path has two nonlinearities."""
        total = np.zeros_like(self.a)
        for node, weight in zip(*np.polynomial.legendre.leggauss(24), strict=True):
            a = (torch.tensor(self.a) * (1 + node) / 2).requires_grad_()
            total += weight / 2 * torch.autograd.grad(self._of(self.after(a)).sum(), a)[0].numpy()
        return total

    def guided(self) -> Array:
        """Differentiate with hooks that keep only positive gradients at each activation."""
        modules = {module for part in (self.trunk, self.after) for module in part.modules()}  # type: ignore[attr-defined]
        hooks = [
            module.register_full_backward_pre_hook(lambda _, given: tuple(torch.relu(dy) for dy in given))
            for module in modules
            if isinstance(module, (nn.ReLU, nn.SiLU))
        ]
        x = torch.tensor(self.x).requires_grad_()
        (found,) = torch.autograd.grad(self._of(self.after(self.trunk(x))).sum(), x)
        for hook in hooks:
            hook.remove()
        return np.asarray(found.numpy())

    @property
    def scores(self) -> Array:
        """The logits of all classes."""
        return np.asarray(self.after(torch.tensor(self.a)).detach().numpy())

    @property
    def weights(self) -> Array:
        """1 at the explained class of each sample, 0 elsewhere."""
        hot = np.zeros_like(self.scores)
        hot[np.arange(len(self.targets)), self.targets] = 1
        return hot

    def relevance(
        self,
        composite: Composite,
        start: Array | None = None,
        of: Literal["score", "layer"] = "score",
        to: Literal["layer", "input"] | int = "layer",
    ) -> Array:
        """Propagate through the modules of trunk and head, which have to be chains."""
        if start is None:
            start = self.weights * self.scores if of == "score" else self.a
        head, trunk = chain(self.after), chain(self.trunk)
        r, a, x = (torch.tensor(array) for array in (start, self.a, self.x))
        at_input = all(isinstance(module, torch.nn.Identity) for module in trunk)
        if of == "score":
            r = propagate(head, a, r, composite, first=at_input)
        if to == "layer":
            return np.asarray(r.numpy())
        depth = 0
        if to != "input":
            other: Any = self.layers()[to]
            depth = len(chain(other.trunk))
            x = torch.tensor(other.a)
        return np.asarray(propagate(trunk[depth:], x, r, composite, first=depth == 0).numpy())

    def bias_terms(self) -> Sequence[Array]:
        """Return no terms; a subclass has some."""
        return []

    def bias_rest(self) -> Array:
        """Return zeros; a subclass has other numbers."""
        return np.zeros_like(self.score)

    def attentions(self) -> Sequence[Attention]:
        """Return no attention; a subclass has some."""
        return []

    def to_positions(self, tokens: Array) -> Array:
        """Arrange the tokens after the leading ones on a square grid."""
        kept = tokens[..., self.leading_tokens :]
        side = int(kept.shape[-1] ** 0.5)
        return np.asarray(kept.reshape(*kept.shape[:2], side, side))

    def steps(self, total: int) -> Iterator[int]:
        """Count without reporting progress."""
        return iter(range(total))


def small_network(seed: int = 0, affine: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return trunk (3 to 6 channels, half the size) and head (5 classes) in float64 with random weights."""
    torch.manual_seed(seed)
    trunk = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    if affine:
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    else:
        head = nn.Sequential(
            nn.Conv2d(6, 8, 3, padding=1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
        )
    return trunk.double().eval(), head.double().eval()
