"""Every method and wrapper is held against code that is not ours, and agrees; or it is said why there is none."""

from __future__ import annotations

import re

import numpy as np
import pytest

from onnxcam.methods.registry import methods, wrappers
from tests.oracles.agreement import MOST, Comparison, comparisons, difference, reasons

COMPARED = comparisons()


@pytest.mark.parametrize("one", COMPARED, ids=lambda one: "-".join(filter(None, one.key)))
def test_maps_agree_and_a_thousandth_is_noticed(one: Comparison) -> None:
    for ours, theirs in one.pairs():
        assert np.abs(theirs).max() > 0
        assert difference(ours, theirs) <= one.tolerance
        assert difference(1.001 * ours, theirs) > one.tolerance
        assert difference(-ours, theirs) > one.tolerance


@pytest.mark.parametrize("name", [*methods(), *wrappers()])
def test_a_method_is_held_against_other_code_or_it_is_said_why_not(name: str) -> None:
    compared = {one.method for one in COMPARED}
    assert (name in compared) != (name in reasons()), "add a comparison to tests/oracles/held, or say why there is none"


def test_only_methods_that_there_are_and_each_comparison_once() -> None:
    known = {*methods(), *wrappers()}
    assert {one.method for one in COMPARED} | set(reasons()) <= known
    keys = [one.key for one in COMPARED]
    assert len(keys) == len(set(keys))
    assert all(one.tolerance <= MOST for one in COMPARED)


def test_public_code_is_named_by_repository_and_commit() -> None:
    for one in COMPARED:
        if one.code.whose != "library":
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", one.code.name), one.key
            assert re.fullmatch(r"[0-9a-f]{7}", one.code.revision), one.key


def test_a_difference_is_a_share_of_the_largest_value() -> None:
    assert difference([2.0, -4.0], [2.0, -5.0]) == 0.2
    assert difference([0.0, 0.5], [0.0, 0.0]) == 0.5
