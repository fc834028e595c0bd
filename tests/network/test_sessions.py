"""Graphs are loaded once, wherever they are used, and run as the options say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import onnxcam
from onnxcam.errors import InputError
from onnxcam.graph.io.model_file import Model
from onnxcam.graph.passes.expose import expose
from onnxcam.network.network import Network
from onnxcam.network.open_session import open_session
from onnxcam.network.read import read_network
from onnxcam.network.run_options import RunOptions
from onnxcam.network.sessions import SessionPool, run_in_pieces
from tests.helpers.models import classifier, floats


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Model]:
    """The graphs that are loaded while the test runs."""
    found: list[Model] = []

    def counted(model: Model, *arguments: Any, **options: Any) -> Any:
        found.append(model)
        return open_session(model, *arguments, **options)

    monkeypatch.setattr("onnxcam.network.sessions.open_session", counted)
    return found


def graph(network: Network, *names: str) -> Model:
    return expose(network.model, names)


def test_a_graph_is_built_and_loaded_once(opened: list[Model]) -> None:
    network, pool = read_network(classifier()), SessionPool(RunOptions(["cpu"]))
    first = pool.get(network, "scores", lambda: graph(network, "logits"))
    again = pool.get(network, "scores", lambda: pytest.fail("built twice"))
    assert again is first
    assert first.session.outputs == ["logits"]
    other = pool.get(network, "layer", lambda: graph(network, "a1"))
    assert other.session.outputs == ["a1"]
    assert len(opened) == 2


def test_networks_do_not_share_graphs_of_one_key(opened: list[Model]) -> None:
    pool = SessionPool(RunOptions(["cpu"]))
    for network in (read_network(classifier()), read_network(classifier())):
        pool.get(network, "scores", lambda network=network: graph(network, "logits"))  # type: ignore[misc]
    assert len(opened) == 2


def test_explainers_of_other_sizes_share_what_is_loaded(opened: list[Model]) -> None:
    explainer = onnxcam.Explainer(classifier(), "score-cam", providers=["cpu"])
    explainer(floats(1, 3, 8, 8))
    before = len(opened)
    finer = explainer.at(8)
    finer(floats(1, 3, 8, 8))
    # The other layer is another graph; the network on masked images is the same.
    assert len(opened) == before + 1
    assert finer.at(4).layer == explainer.layer
    finer.at(4)(floats(1, 3, 8, 8))
    assert len(opened) == before + 1


def test_rows_are_what_the_file_insists_on_or_the_batch_size_or_what_fits() -> None:
    network = read_network(classifier())
    scores = graph(network, "logits")
    assert SessionPool(RunOptions(batch_size=7)).rows(network, scores) == 7
    assert SessionPool(RunOptions(batch_size=7)).rows(replace(network, batch=3), scores) == 3
    assert SessionPool(RunOptions(memory=1)).rows(network, scores) == 1
    assert SessionPool().rows(network, scores, most=5) == 5
    few, many = (SessionPool(RunOptions(memory=size)).rows(network, scores) for size in (20_000, 40_000))
    assert 1 < few < many <= 2 * few + 1


def test_options_below_one_are_refused() -> None:
    for options in ({"batch_size": 0}, {"threads": -1}, {"memory": 0}):
        with pytest.raises(InputError, match="is at least 1, not"):
            RunOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("fixed", [False, True])
def test_pieces_are_joined_in_order(fixed: bool) -> None:
    sizes = []

    def run(rows: Any) -> Any:
        sizes.append(len(rows))
        return 2 * rows

    np.testing.assert_array_equal(run_in_pieces(np.arange(7), 3, fixed, run), 2 * np.arange(7))
    assert sizes == ([3, 3, 3] if fixed else [3, 3, 1])
