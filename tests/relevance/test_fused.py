"""Relevance in the graph of the forward pass, against the same propagation in a run of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnxcam
from onnxcam.network.feeds import check_feeds
from onnxcam.relevance.composite import Composite
from onnxcam.runtime.session import Session
from tests.helpers.checks import assert_close
from tests.networks.torch_files import write

SIZE, TARGETS = 16, [2, None]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    features = (nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 16, 3))
    head = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))
    network = nn.Sequential(*features, *head).eval()
    return write(network, (3, SIZE, SIZE), "dynamo", tmp_path_factory.mktemp("fused") / "small.onnx")


@pytest.fixture
def x() -> Any:
    return np.random.default_rng(0).standard_normal((2, 3, SIZE, SIZE)).astype(np.float32)


@pytest.mark.parametrize("share_weights", [True, False])
@pytest.mark.parametrize("to", ["input", 0])
@pytest.mark.parametrize("name", ["lrp", "fg-cam"])
def test_one_run_gives_what_two_give(name: str, to: str | int, share_weights: bool, path: Path, x: Any) -> None:
    explainer = onnxcam.Explainer(path, onnxcam.method(name, to=to), share_weights=share_weights)
    asked = explainer.view(x, TARGETS)
    assert asked.result.relevance is not None
    assert asked.result.relevance_start is not None
    found = explainer.method.explain(asked)
    fused = explainer._context.plan.relevance
    assert fused is not None
    feeds = check_feeds(explainer.network, x)
    alone = explainer._context.relevance.run(
        feeds, asked.result.relevance_start, fused.composite, fused.start, fused.end
    )
    assert_close(asked.result.relevance, alone, 1e-5)
    assert_close(found, alone.sum(axis=1), 1e-5)


@pytest.mark.parametrize("name", ["lrp", "fg-cam"])
def test_a_call_runs_one_graph_once(name: str, path: Path, x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = onnxcam.Explainer(path, name)
    runs, run = [], Session.run

    def counted(self: Session, *given: Any) -> Any:
        runs.append(self)
        return run(self, *given)

    monkeypatch.setattr(Session, "run", counted)
    explainer(x, TARGETS)
    assert len(runs) == 1


def test_another_beginning_is_another_propagation(path: Path, x: Any) -> None:
    asked = onnxcam.Explainer(path, "fg-cam").view(x, TARGETS)
    rules = Composite.parse("fine-grained")
    terms = asked.g.mean(axis=(2, 3), keepdims=True) * asked.a
    assert asked.result.relevance is not None
    known = asked.relevance(rules, terms, of="layer", to="input")
    np.testing.assert_array_equal(known, asked.result.relevance)
    for start in (2 * terms, 1.001 * terms, asked.a):
        found = asked.relevance(rules, start, of="layer", to="input")
        assert_close(found.sum(axis=(1, 2, 3)), start.sum(axis=(1, 2, 3)), 1e-3)
        assert not np.array_equal(found, asked.result.relevance)
    assert not np.array_equal(asked.relevance(Composite.parse("epsilon-plus"), terms, of="layer", to="input"), known)


@pytest.mark.parametrize("method", [onnxcam.method("fg-cam", denoise=True), onnxcam.method("fg-cam", to=-1), "clrp"])
def test_what_the_graph_cannot_begin_is_propagated_apart(method: Any, path: Path, x: Any) -> None:
    asked = onnxcam.Explainer(path, method).view(x, TARGETS)
    assert asked.result.relevance is None
    assert asked.result.gradients or method == "clrp"
