"""Which linear layer follows which rule: composites, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from onnxcam.errors import InputError, NameNotFoundError, did_you_mean
from onnxcam.relevance.rules import AlphaBeta, Box, Epsilon, Flat, Gamma, LinearRule, ZPlus, find_rule

# Operators by what people call them; any other word is the name of an operator.
_KINDS = {"conv": ("Conv", "ConvTranspose"), "linear": ("Gemm", "MatMul"), "any": ()}


@dataclass(frozen=True)
class LayerSelector:
    """Which layers a rule is for.

    Attributes:
        kind: ``conv``, ``linear``, ``any``, or the name of an ONNX operator.
        first: only layers that read the model's input, through no other linear layer.
    """

    kind: str = "any"
    first: bool = False

    def matches(self, op_type: str, first: bool) -> bool:
        """Whether the rule is for a layer of this operator; ``first`` says that it reads the model's input."""
        kinds = _KINDS.get(self.kind, (self.kind,))
        return (first or not self.first) and (not kinds or op_type in kinds)

    @classmethod
    def parse(cls, text: str) -> LayerSelector:
        """Read ``conv``, ``first conv``, ``first``.

        Raises:
            InputError: it is something else.
        """
        words = text.split()
        first = words[:1] == ["first"]
        kinds = words[1:] if first else words
        if len(kinds) > 1 or (not kinds and not first):
            raise InputError(f"a rule stands at 'first', 'conv', 'linear', 'any', 'first conv', ..., not at '{text}'")
        return cls(kinds[0] if kinds else "any", first)

    def __str__(self) -> str:
        return " ".join(
            (["first"] if self.first else []) + ([self.kind] if self.kind != "any" or not self.first else [])
        )


@dataclass(frozen=True)
class Composite:
    """A name, and the rule of each linear layer: the first selector that matches decides.

    Attributes:
        name: what users type.
        rules: in order; they must cover all layers.
        stabilizer: as that of a rule, for sums, average pools and whatever else divides in proportion.
        rectified_pools: pools see the positive part of their input alone, and pass nothing to what is not positive.
        spread: what belongs to a sum without shares, whose bias alone turns a unit on, is divided evenly among all
            that the unit reads, padding left out; of a unit that reads padding alone, among all that the layer reads.
            Else it is lost.
    """

    name: str
    rules: tuple[tuple[LayerSelector, LinearRule], ...]
    stabilizer: float = 1e-6
    rectified_pools: bool = False
    spread: bool = False

    def __post_init__(self) -> None:
        """Refuse a composite that leaves layers without a rule."""
        for op_type in ("Conv", "Gemm"):
            if not any(selector.matches(op_type, False) for selector, _ in self.rules):
                raise InputError(f"composite '{self.name}' has no rule for {op_type}; add one at 'any'")

    def rule(self, op_type: str, first: bool) -> LinearRule:
        """Return the rule of a layer.

        Raises:
            InputError: there is none for that operator.
        """
        found = next((rule for selector, rule in self.rules if selector.matches(op_type, first)), None)
        if found is None:
            raise InputError(f"composite '{self.name}' has no rule for {op_type}; add one at 'any'")
        return found

    def describe(self) -> dict[str, Any]:
        """Return what ``parse`` reads, for a composite that has no name of its own."""
        listed = [{"at": str(selector), **rule.describe()} for selector, rule in self.rules]
        return {
            "name": self.name,
            "rules": listed,
            "stabilizer": self.stabilizer,
            "rectified_pools": self.rectified_pools,
            "spread": self.spread,
        }

    @classmethod
    def parse(cls, composite: str | Composite | Mapping[str, Any]) -> Composite:
        """Return the composite that a name, a JSON file or its content stands for.

        A file holds ``{"name": "mine", "rules": [{"at": "first conv", "rule": "box"}, {"at": "any", "rule": "gamma",
        "gamma": 0.1}], "stabilizer": 1e-6}``; of these only ``rules`` is needed.

        Raises:
            NameNotFoundError: no composite or rule has that name; near names are suggested.
            InputError: the file cannot be read, or says something else.
        """
        if isinstance(composite, Composite):
            return composite
        if isinstance(composite, Mapping):
            return _from_json(composite, "composite")
        known = composites()
        if composite in known:
            return known[composite]
        if not composite.endswith(".json"):
            raise NameNotFoundError(
                f"no composite is named '{composite}'{did_you_mean(composite, known)}; "
                f"there are {', '.join(known)}, or give a JSON file"
            )
        try:
            content = json.loads(Path(composite).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"composite '{composite}' cannot be read: {error}; give the path of a JSON file"
            ) from error
        if not isinstance(content, Mapping):
            raise InputError(f"composite '{composite}' is no JSON object; write {{\"rules\": [...]}} there")
        return _from_json(content, Path(composite).stem)


def _from_json(content: Mapping[str, Any], name: str) -> Composite:
    allowed = {"name", "rules", "stabilizer", "rectified_pools", "spread"}
    listed = content.get("rules")
    if set(content) - allowed or not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise InputError(f"composite '{name}' needs a list 'rules' of objects, and may have {sorted(allowed)} only")
    made = []
    for entry in listed:
        options = {key: value for key, value in entry.items() if key not in ("at", "rule")}
        if not isinstance(entry.get("at"), str) or not isinstance(entry.get("rule"), str):
            raise InputError(f"each rule of composite '{name}' needs 'at' and 'rule', both text; {dict(entry)} has not")
        made.append((LayerSelector.parse(entry["at"]), find_rule(entry["rule"], **options)))
    stabilizer, (rectified, spread) = (
        content.get("stabilizer", 1e-6),
        (content.get(key, False) for key in ("rectified_pools", "spread")),
    )
    flags = isinstance(rectified, bool) and isinstance(spread, bool)
    if isinstance(stabilizer, bool) or not isinstance(stabilizer, (int, float)) or not flags:
        raise InputError(f"in composite '{name}' stabilizer is a number, rectified_pools and spread true or false")
    return Composite(str(content.get("name", name)), tuple(made), float(stabilizer), rectified, spread)


_CONV, _LINEAR, _ANY = LayerSelector("conv"), LayerSelector("linear"), LayerSelector("any")
_FIRST, _FIRST_CONV = LayerSelector("any", first=True), LayerSelector("conv", first=True)
# Nothing is lost to biases or to a stabilizer.
_EXACT = ZPlus(stabilizer=0.0, bias=False)

_PRESETS = (
    Composite("epsilon-plus", ((_CONV, ZPlus()), (_ANY, Epsilon()))),
    Composite("epsilon-plus-flat", ((_FIRST, Flat()), (_CONV, ZPlus()), (_ANY, Epsilon()))),
    Composite("epsilon-alpha2-beta1", ((_CONV, AlphaBeta()), (_ANY, Epsilon()))),
    Composite("epsilon-alpha2-beta1-flat", ((_FIRST, Flat()), (_CONV, AlphaBeta()), (_ANY, Epsilon()))),
    Composite("epsilon-gamma-box", ((_FIRST_CONV, Box()), (_CONV, Gamma()), (_ANY, Epsilon()))),
    Composite("excitation-backprop", ((_ANY, ZPlus()),)),
    # Ours: z+ of Montavon et al. 2017 without biases, what it would lose being spread.
    Composite("epsilon-plus-spread", ((_CONV, _EXACT), (_ANY, Epsilon())), spread=True),
    Composite(
        "epsilon-plus-gamma-spread",
        ((_FIRST_CONV, Gamma(bias=False)), (_CONV, _EXACT), (_ANY, Epsilon())),
        spread=True,
    ),
    Composite("z-plus-spread", ((_ANY, _EXACT),), stabilizer=0.0, spread=True),
    Composite("zero", ((_ANY, Epsilon(stabilizer=0.0)),), stabilizer=0.0),
    Composite("z-plus", ((_ANY, _EXACT),), stabilizer=0.0),
    # FG-CAM (Qiu et al. 2023); the rule of dense layers is our extension.
    Composite(
        "fine-grained",
        ((_FIRST_CONV, Box(stabilizer=0.0, bias=False)), (_ANY, _EXACT)),
        stabilizer=0.0,
        rectified_pools=True,
    ),
)


# What a user types for the composite that suits the network.
AUTO = "auto"


def default_composite(attention: bool, contrast: bool = False) -> Composite:
    """Return the composite that suits a network and a method, as measured by ``tools.composites``.

    Args:
        attention: whether the network has attention.
        contrast: whether relevance starts with both signs: dense layers by epsilon bring the shares of different
            classes to different units, where by z+ what classes have in common cancels.
    """
    if contrast:
        return composites()["z-plus-spread"]
    return composites()["epsilon-plus-gamma-spread" if attention else "epsilon-plus-spread"]


@cache
def composites() -> MappingProxyType[str, Composite]:
    """Return every composite that has a name."""
    found: dict[str, Composite] = {}
    for preset in _PRESETS:
        if preset.name in found:
            raise RuntimeError(f"two composites are named {preset.name}")
        found[preset.name] = preset
    return MappingProxyType(found)
