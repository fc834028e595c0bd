"""What ``python -m tools.composites`` measures, and the table that it ends in."""

from __future__ import annotations

import numpy as np
import pytest

import onnxcam
from onnxcam.relevance.composite import composites, default_composite
from tests.helpers.shared import shared_path
from tools.composites.contenders import CONTENDERS, DEFAULT
from tools.composites.measure import RANDOM, Findings, Network, Worth, measure
from tools.composites.sets import sets
from tools.composites.table import METRICS, tables
from tools.docs import page, placed
from tools.truth.sets import drawings


def test_every_named_composite_is_measured() -> None:
    assert {f"`{name}`" for name in composites()} <= set(CONTENDERS)
    assert default_composite(attention=False).name == DEFAULT
    assert len({composite.rules for composite in CONTENDERS.values()}) > len(CONTENDERS) / 2


def test_a_set_is_measured() -> None:
    drawn = drawings(3)
    chosen = {title: CONTENDERS[title] for title in ("`epsilon-plus`", f"`{DEFAULT}`")}
    found = measure(drawn, chosen, 4)
    assert list(found.worth) == [*chosen, RANDOM]
    for title, composite in chosen.items():
        explained = drawn.explainer(onnxcam.method("lrp", composite=composite)).explain(
            [one.photograph for one in drawn.samples], [one.target for one in drawn.samples]
        )
        scores = explained.scores[np.arange(3), explained.targets]
        np.testing.assert_allclose(found.worth[title].kept, explained.raw.sum(axis=(1, 2)) / scores, rtol=1e-3)
        assert (found.worth[title].deletion < found.worth[RANDOM].deletion).all()
    assert found.caption.startswith("3 images, of which the network names 3 right; 4 steps; ")


@pytest.mark.parametrize("name", ["ResNet-8", "ViT"])
def test_a_network_is_asked_in_its_own_layout(name: str) -> None:
    (make,) = sets(shared_path("images").parent, 2, 2, [name])
    truth = make()
    network, sample = Network(truth), truth.samples[1]
    assert (len(truth.samples), network.images(sample.photograph.array).shape) == (20, (1, 3, 32, 32))
    wanted = truth.explainer("gradient")(sample.photograph.array, sample.target)
    scores = np.exp(wanted.scores[0] - wanted.scores[0].max())
    found = network.probability(sample.target, network.images(sample.photograph.array))
    np.testing.assert_allclose(found, scores[sample.target] / scores.sum(), rtol=1e-4)


def findings(kept: list[float]) -> Findings:
    title, other = f"`{DEFAULT}`", "`zero`"
    worth = {
        title: Worth(np.array([0.1, 0.2]), np.array([0.8, 0.8]), np.array([1.0, 0.99])),
        other: Worth(np.array([0.4, 0.5]), np.array([0.8, 0.81]), np.array(kept)),
        RANDOM: Worth(np.array([0.5, 0.5]), np.array([0.3, 0.3]), np.full(2, np.nan)),
    }
    return Findings("nets", "2 images", worth)


@pytest.mark.parametrize(
    ("kept", "cell"),
    [
        ([0.0012, 0.5], "25.1% (0.12% to 50%)"),
        ([np.nan, -0.5], "-50% (-50% to -50%, 1 not finite)"),
        ([np.nan, np.nan], "not finite"),
        ([12.0, 12.0], "12 times (12 times to 12 times)"),
    ],
)
def test_the_table_says_what_was_found(kept: list[float], cell: str) -> None:
    text = tables([findings(kept)])
    assert text.startswith("- nets: 2 images")
    for line in (f"| `{DEFAULT}` | 0.150 |", "| `zero` | 0.450 |", "| `zero` | 0.805 \\* |", f"| `zero` | {cell} |"):
        assert line in text.splitlines(), line
    assert f"| {RANDOM} | 0.500 |" in text


def test_the_page_has_all_of_it() -> None:
    written = placed(page("composites").read_text(), "composites")
    for title in (
        *METRICS.values(),
        *CONTENDERS,
        RANDOM,
        "EfficientNet-Lite0",
        "MobileNetV2",
        "drawings",
        "ResNet-8",
        "ViT",
    ):
        assert title in written
