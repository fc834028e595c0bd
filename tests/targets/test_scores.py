"""The scores that are reported beside maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from onnxcam.errors import TargetError
from onnxcam.targets import Box, Class
from onnxcam.targets.batch import flatten_targets, resolve_targets
from onnxcam.targets.scores import box_labels, reported_scores, scores_by_class
from tests.helpers.models import floats
from tests.targets.samples import BOXES, CHANNELS_LAST, CLASSES, DENSE


def test_dense_scores_are_reported_as_shares_of_positions() -> None:
    scores = floats(2, 3, 2, 4)
    winners = scores.argmax(axis=1)
    expected = [[(winners[row] == index).mean() for index in range(3)] for row in range(2)]
    np.testing.assert_allclose(scores_by_class(scores, DENSE), expected)
    np.testing.assert_allclose(scores_by_class(scores.transpose(0, 2, 3, 1), CHANNELS_LAST), expected)


def test_a_vector_is_reported_as_it_is() -> None:
    scores = floats(2, 5)
    np.testing.assert_array_equal(reported_scores(scores, resolve_targets(None, 2, CLASSES, None)), scores)


def test_a_box_is_reported_by_its_best_score_or_by_what_is_explained() -> None:
    scores = floats(2, 4, 7)
    best = scores[:, :, 4:].max(axis=2)
    np.testing.assert_array_equal(scores_by_class(scores, BOXES), best)
    turned = replace(BOXES, shape=("n", 7, 4), box_axis=2)
    np.testing.assert_array_equal(scores_by_class(scores.transpose(0, 2, 1), turned), best)
    batch = resolve_targets([Box(1, 0), Class()], 2, BOXES, None).resolved(scores)
    best[0, 1] = scores[0, 1, 0]
    np.testing.assert_array_equal(reported_scores(scores, batch), best)
    assert box_labels(best) == ("box 0", "box 1", "box 2", "box 3")


def test_lists_of_targets_become_one_for_each_map() -> None:
    targets, samples = flatten_targets([[0, 1], [2]], 2)
    assert targets == [0, 1, 2]
    assert samples.tolist() == [0, 0, 1]
    same, samples = flatten_targets(None, 3)
    assert same is None
    assert samples.tolist() == [0, 1, 2]
    with pytest.raises(TargetError, match="at least one target for each of the 2 samples"):
        flatten_targets([[0], []], 2)
