"""Every kind of target, through the samples that its module in ``samples`` declares."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import onnxcam.targets
from onnxcam.errors import TargetError
from onnxcam.graph.analysis.score import Score
from onnxcam.targets import Box, Class, Cotangent, Target
from onnxcam.targets.batch import contrast_with_nearest, resolve_targets
from onnxcam.targets.registry import kinds
from tests.targets.samples import BOXES, CHANNELS_LAST, CLASSES, DENSE, Sample, all_samples, random_scores

SAMPLES = all_samples()
RESOLVED = [(module, sample) for module, samples in SAMPLES.items() for sample in samples.resolved]
REFUSED = [case for samples in SAMPLES.values() for case in samples.refused]

every_sample = pytest.mark.parametrize(
    ("module", "sample"), RESOLVED, ids=[f"{module}-{sample.described}" for module, sample in RESOLVED]
)


def module_of(kind: type[Target]) -> str:
    return kind.__module__.rpartition(".")[2]


def fits(sample: Sample, scale: float = 1.0) -> bool:
    """Whether the target makes the expected number of its scores."""
    cotangent, index = sample.target.resolve(sample.scores, sample.score)
    value = float((cotangent * sample.scores).sum()) * scale
    return index == sample.index and abs(value - sample.value) <= 1e-5 * abs(sample.value)


def test_every_kind_has_samples_and_every_sample_a_kind() -> None:
    modules = {module_of(kind) for kind in kinds().values()}
    assert modules == set(SAMPLES), f"add tests/targets/samples/{'.py, '.join(sorted(modules ^ set(SAMPLES)))}.py"
    for kind in kinds().values():
        own = SAMPLES[module_of(kind)]
        assert any(type(sample.target) is kind for sample in own.resolved)
        assert own.refused, f"no sample that {kind.__name__} refuses"


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds().keys())
def test_every_kind_is_documented_and_public(kind: type[Target]) -> None:
    assert (kind.__doc__ or "").splitlines()[0].endswith(".")
    assert getattr(onnxcam.targets, kind.__name__) is kind
    assert kind.__name__ in dir(onnxcam.targets)


@every_sample
def test_a_target_is_the_expected_number_of_its_scores(module: str, sample: Sample) -> None:
    cotangent, _ = sample.target.resolve(sample.scores, sample.score)
    assert cotangent.shape == sample.scores.shape
    assert fits(sample)
    assert sample.target.describe() == sample.described


@every_sample
def test_a_cotangent_wrong_by_a_thousandth_is_noticed(module: str, sample: Sample) -> None:
    assert not fits(sample, 1.001)


@every_sample
def test_a_batch_explains_the_same_number(module: str, sample: Sample) -> None:
    scores = sample.scores[None]
    batch = resolve_targets(sample.target, 1, sample.score, None).resolved(scores)
    assert batch.is_resolved
    assert batch.indices.tolist() == [sample.index]
    assert batch.value(0, scores) == pytest.approx([sample.value], rel=1e-5)
    assert (batch.weights(scores) * scores).sum() == pytest.approx(sample.value, rel=1e-5)


@pytest.mark.parametrize(("target", "score", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_what_does_not_fit_is_refused(target: Target, score: Score, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        target.resolve(random_scores(score), score)


def test_kinds_of_scores() -> None:
    assert [score.kind for score in (CLASSES, DENSE, CHANNELS_LAST, BOXES)] == ["classes", "dense", "dense", "boxes"]
    assert [score.classes for score in (CLASSES, DENSE, CHANNELS_LAST, BOXES)] == [5, 3, 3, None]
    assert Score("y", None, ("n", 5, 1, 1), ()).kind == "classes"
    assert Score("y", None, ("n", 5, 4, 3), ()).kind == "other"


def test_a_class_that_wins_nowhere_is_explained_everywhere() -> None:
    scores = np.zeros((3, 2, 4), np.float32)
    scores[0] = 1
    cotangent, _ = Class(1).resolve(scores, DENSE)
    np.testing.assert_array_equal(cotangent[1], np.full((2, 4), 1 / 8))


def test_only_the_score_of_a_class_has_nearest_classes() -> None:
    batch = contrast_with_nearest(resolve_targets([1, None], 2, CLASSES, None), 3, 0.5)
    assert [target.describe() for target in batch.targets] == [
        "class 1 less 0.5 times the mean of the 3 nearest",
        "predicted class of rank 1 less 0.5 times the mean of the 3 nearest",
    ]
    with pytest.raises(TargetError, match="has no nearest classes"):
        contrast_with_nearest(resolve_targets(Cotangent(np.ones(5)), 1, CLASSES, None), 3, 0.5)


def test_reading_the_forms_imports_nothing_heavy() -> None:
    """Help lists the forms; modules of kinds import NumPy and the rest inside the functions that need them."""
    code = (
        "import sys; from onnxcam.targets.registry import explain_forms; explain_forms(); "
        "print([m for m in ('numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'PIL') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


@pytest.mark.parametrize("kind", [Class, Box])
def test_indices_and_ranks_do_not_count_from_the_end(kind: type[Class] | type[Box]) -> None:
    with pytest.raises(TargetError, match=r"-3 does not exist; indices count from 0, and -1 is the predicted"):
        kind(-3)
    with pytest.raises(TargetError, match=r"rank -1 of a \w+ does not exist; ranks count from 0"):
        kind(rank=-1)
    assert kind(-1).index == kind().index == -1
