"""Recurrent layers: each direction, with and without biases and states before the first step, and each output."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Arg, Sample, coin, const, pick, samples, var

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_STEPS, _SAMPLES, _INPUTS, _HIDDEN = 4, 2, 3, 2


def _layer(rng: np.random.Generator, op: str, **more: object) -> Sample:
    """Draw a layer. The evaluator knows one direction only, and onnxruntime's CPU no samples before steps."""
    direction = pick(rng, "forward", "reverse", "bidirectional")
    ways, rows = 2 if direction == "bidirectional" else 1, _GATES[op] * _HIDDEN
    states: list[Arg | None] = [var(rng.uniform(-1, 1, (ways, _SAMPLES, _HIDDEN))) for _ in range(1 + (op == "LSTM"))]
    outputs = 3 if op == "LSTM" else 2
    return Sample(
        op,
        (
            var(rng.uniform(-1, 1, (_STEPS, _SAMPLES, _INPUTS))),
            const(rng.uniform(-1, 1, (ways, rows, _INPUTS))),
            const(rng.uniform(-1, 1, (ways, rows, _HIDDEN))),
            const(rng.uniform(-1, 1, (ways, 2 * rows))) if coin(rng) else None,
            None,
            *(states if coin(rng) else []),
        ),
        {"hidden_size": _HIDDEN, "direction": direction, **more},
        outputs=outputs,
        uses=tuple(range(outputs)) if coin(rng) else (int(rng.integers(outputs)),),
        oracle="reference" if ways == 1 and direction == "forward" else "float32",
    )


@samples(8)
def lstm(rng: np.random.Generator) -> Sample:
    return _layer(rng, "LSTM")


@samples(8)
def gru(rng: np.random.Generator) -> Sample:
    return _layer(rng, "GRU", linear_before_reset=coin(rng))


@samples(6)
def rnn(rng: np.random.Generator) -> Sample:
    return _layer(rng, "RNN")
