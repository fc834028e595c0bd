"""Rules of relevance propagation for linear layers, as data.

All of them divide the relevance ``R`` of each result ``y_j = sum_i w_ij x_i + b_j`` in proportion to shares ``z_ij``:
``R_i = sum_j z_ij / (sum_i z_ij + bias) R_j``. They differ in what stands for ``x``, ``w`` and ``b`` in the shares, so
that a rule is a list of such terms and one function propagates by any of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from onnxcam.errors import InputError, NameNotFoundError, did_you_mean
from onnxcam.relevance.terms import MINUS, PLUS, WHOLE, Group, Term


@dataclass(frozen=True)
class LinearRule(ABC):
    """How the relevance of a linear layer's results becomes that of its input.

    Attributes:
        stabilizer: added to each sum's size before it divides; with 0 a sum that is 0 passes nothing on.
        bias: whether the bias takes its share, which is then lost; so do constants other than 0 that padding sets.
    """

    name: ClassVar[str]
    stabilizer: float = 1e-6
    bias: bool = True

    def __post_init__(self) -> None:
        """Refuse fields that are no numbers."""
        for field in fields(self):
            value = getattr(self, field.name)
            wanted: tuple[type, ...] = (bool,) if field.name == "bias" else (int, float)
            optional = field.default is None and value is None
            if not optional and (not isinstance(value, wanted) or (bool not in wanted and isinstance(value, bool))):
                raise InputError(
                    f"field {field.name} of rule {self.name} is {value!r}; it must be {wanted[-1].__name__}"
                )
        if self.stabilizer < 0:
            raise InputError(f"the stabilizer of rule {self.name} is {self.stabilizer}; it must be 0 or more")

    @property
    @abstractmethod
    def groups(self) -> tuple[Group, ...]:
        """The terms of the shares, grouped by the sum that divides them."""

    def describe(self) -> dict[str, Any]:
        """Return the name and all fields, enough to build the same rule again."""
        return {"rule": self.name, **{field.name: getattr(self, field.name) for field in fields(self)}}


@dataclass(frozen=True)
class Epsilon(LinearRule):
    """LRP-epsilon, and with ``stabilizer=0`` LRP-0: shares are ``x_i w_ij`` as they are.

    Source: Bach et al. 2015, eq. 58 (LRP-0: eq. 56).
    """

    name: ClassVar[str] = "epsilon"

    @property
    def groups(self) -> tuple[Group, ...]:
        """One term: the input times the weights, as they are."""
        return (Group((Term("x", WHOLE, self.bias),)),)


@dataclass(frozen=True)
class ZPlus(LinearRule):
    """z+: only shares that raise the result count, ``x+ w+ + x- w-``.

    Source: Montavon et al. 2017, for inputs of both signs as alpha-beta with alpha 1 and beta 0.
    """

    name: ClassVar[str] = "z-plus"

    @property
    def groups(self) -> tuple[Group, ...]:
        """The alpha group of alpha-beta."""
        return (Group(_raising(self.bias)),)


@dataclass(frozen=True)
class AlphaBeta(LinearRule):
    """Alpha-beta: ``alpha`` times the shares that raise the result less ``beta`` times those that lower it.

    Source: Bach et al. 2015, eq. 60.

    Attributes:
        alpha: at least 1.
        beta: ``alpha - 1``.
    """

    name: ClassVar[str] = "alpha-beta"
    alpha: float = 2.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Refuse factors that do not conserve relevance."""
        super().__post_init__()
        if self.beta < 0 or abs(self.alpha - self.beta - 1) > 1e-9:
            raise InputError(
                f"alpha {self.alpha} and beta {self.beta} do not conserve relevance; set beta to alpha - 1, 0 or more"
            )

    @property
    def groups(self) -> tuple[Group, ...]:
        """The shares that raise the result, and those that lower it unless ``beta`` is 0."""
        lowering = Term("positive", MINUS, self.bias), Term("negative", PLUS)
        plus = Group(_raising(self.bias), self.alpha)
        return (plus, Group(lowering, -self.beta)) if self.beta else (plus,)


@dataclass(frozen=True)
class Gamma(LinearRule):
    """LRP-gamma: weights of the result's own sign count ``1 + gamma`` times.

    Source: Montavon et al. 2019, for inputs and results of both signs as zennit has it (Andeol et al.).

    Attributes:
        gamma: 0 or more.
    """

    name: ClassVar[str] = "gamma"
    gamma: float = 0.25

    def __post_init__(self) -> None:
        """Refuse a negative gamma."""
        super().__post_init__()
        if self.gamma < 0:
            raise InputError(f"gamma is {self.gamma}; it must be 0 or more")

    @property
    def groups(self) -> tuple[Group, ...]:
        """One group for results above 0, one for those below."""
        more = 1 + self.gamma
        above = Term("positive", (more, 1.0), self.bias), Term("negative", (1.0, more))
        below = Term("positive", (1.0, more), self.bias), Term("negative", (more, 1.0))
        return Group(above, outputs="positive"), Group(below, outputs="negative")


@dataclass(frozen=True)
class Box(LinearRule):
    """z^B, for a first layer: shares are ``x w - low w+ - high w-``, with the bounds that inputs can have.

    Written as ``(x - low) w+ + (x - high) w-``: two terms, neither of which is negative. A bias takes no share: what it
    adds to ``x w`` it takes from the other two.

    Source: Montavon et al. 2017.

    Attributes:
        low: least possible input; by default the least number of the sample's own input.
        high: largest possible input; by default the largest of the sample's own.
    """

    name: ClassVar[str] = "box"
    low: float | None = None
    high: float | None = None

    @property
    def groups(self) -> tuple[Group, ...]:
        """How far the input is from its bounds."""
        terms = Term("above", PLUS), Term("below", MINUS)
        return (Group(terms, bounded=self.low is None and self.high is None),)


@dataclass(frozen=True)
class WSquare(LinearRule):
    """w^2: shares are the squared weights, whatever the input.

    Source: Montavon et al. 2017.
    """

    name: ClassVar[str] = "w-square"

    @property
    def groups(self) -> tuple[Group, ...]:
        """Ones instead of the input."""
        return (Group((Term("ones", "square", self.bias),)),)


@dataclass(frozen=True)
class Flat(LinearRule):
    """Flat: every input of a result gets the same share.

    Source: Lapuschkin et al. 2019, supplement; a bias takes no share.
    """

    name: ClassVar[str] = "flat"

    @property
    def groups(self) -> tuple[Group, ...]:
        """Ones instead of input and weights."""
        return (Group((Term("ones", "ones"),)),)


def _raising(bias: bool) -> tuple[Term, ...]:
    return Term("positive", PLUS, bias), Term("negative", MINUS)


def rules() -> dict[str, type[LinearRule]]:
    """Return every rule by name: the subclasses in this module are the only list."""
    found: dict[str, type[LinearRule]] = {}
    for cls in LinearRule.__subclasses__():
        if cls.name in found:
            raise RuntimeError(f"two rules are named {cls.name}")
        found[cls.name] = cls
    return found


def find_rule(name: str, **options: Any) -> LinearRule:
    """Return the rule of that name with its fields set; ``zero`` is epsilon with 0.

    Raises:
        NameNotFoundError: no rule has that name.
        InputError: the rule has no such field.
    """
    known = rules()
    if name == "zero":
        return find_rule("epsilon", **{"stabilizer": 0.0, **options})
    if name not in known:
        names = [*known, "zero"]
        raise NameNotFoundError(
            f"no rule of relevance is named '{name}'{did_you_mean(name, names)}; there are {', '.join(names)}"
        )
    allowed = [field.name for field in fields(known[name])]
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(f"rule {name} has no field {', '.join(unknown)}; it has {', '.join(allowed)}")
    return known[name](**options)
