"""Mutants: a base model, changed a few times by mutators that a seed chooses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx

from tools.fuzz.graph_mutators import mutate_graph
from tools.fuzz.message_mutators import mutate_message


@dataclass(frozen=True)
class Mutant:
    """One file.

    Attributes:
        base: name of the model that it began as.
        seed: makes the same mutant of the same base.
        way: kind of mutation: ``bytes``, ``message``, ``graph`` or ``text``.
        content: the file.
    """

    base: str
    seed: int
    way: str
    content: bytes


def mutants(bases: Mapping[str, bytes], seed: int, count: int, part: tuple[int, int] = (0, 1)) -> Iterator[Mutant]:
    """Yield ``count`` mutants in an order that the seed fixes; of them, those of one part of several."""
    names = sorted(bases)
    for index in range(part[0], count, part[1]):
        choice = random.Random(f"{seed}/{index}")
        name = choice.choice(names)
        yield mutant(name, bases[name], seed * 10_000_000 + index)


def mutant(name: str, base: bytes, seed: int) -> Mutant:
    """Return one mutant of a base model."""
    choice = random.Random(seed)
    way = choice.choices(("bytes", "message", "graph", "text"), (2, 4, 5, 1))[0]
    if way == "bytes":
        return Mutant(name, seed, way, _bytes(base, choice))
    if way == "text":
        return Mutant(name, seed, way, _text(base, choice))
    model = onnx.ModelProto.FromString(base)
    for _ in range(choice.choice((1, 1, 1, 2, 3))):
        (mutate_message if way == "message" else mutate_graph)(model, choice)
    return Mutant(name, seed, way, model.SerializeToString())


def _bytes(base: bytes, choice: random.Random) -> bytes:
    """Return bytes with some flipped, cut out, repeated or missing at the end."""
    content = bytearray(base)
    # The first and last kilobytes hold structure, the rest is mostly weights.
    edge = min(2000, len(content) - 1)
    for _ in range(choice.choice((1, 1, 2, 5, 20))):
        at = choice.choice(
            (choice.randrange(edge), len(content) - 1 - choice.randrange(edge), choice.randrange(len(content)))
        )
        at = max(0, min(at, len(content) - 1))
        action = choice.random()
        if action < 0.7:
            content[at] ^= 1 << choice.randrange(8)
        elif action < 0.8:
            del content[at : at + choice.choice((1, 2, 8, 100))]
        elif action < 0.9:
            content[at:at] = content[at : at + choice.choice((1, 2, 8, 100))]
        else:
            del content[max(at, 1) :]
        if len(content) < 2:
            break
    return bytes(content)


def _text(base: bytes, choice: random.Random) -> bytes:
    """Replace a piece of readable text by as many bytes that are no UTF-8 or move a terminal's cursor."""
    model = onnx.ModelProto.FromString(base)
    words = {
        model.producer_name,
        *(node.op_type for node in model.graph.node),
        *(node.name for node in model.graph.node),
    }
    words |= {name for node in model.graph.node for name in node.output}
    word = choice.choice(sorted(word for word in words if word) or ["onnx"]).encode()
    other = choice.choice((b"\xff", b"\x1b", b"\n", b"\xc3", b"\x00", b"\xed\xa0\x80"))
    return base.replace(word, (other * len(word))[: len(word)], choice.choice((1, 2, -1)))
