"""Targets as text: what each form means, and that nothing but an OnnxcamError comes of any text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxcam.errors import OnnxcamError
from onnxcam.targets import Class
from onnxcam.targets.base import Form
from onnxcam.targets.parse import parse_targets
from onnxcam.targets.registry import explain_forms, forms, kinds, list_forms
from tests.helpers.commands import run
from tests.targets.samples import LABELS, all_samples

SAMPLES = all_samples()
TEXTS = [(text, list(expected)) for samples in SAMPLES.values() for text, expected in samples.texts.items()]
WRONG = [case for samples in SAMPLES.values() for case in samples.wrong_texts.items()]
KEYWORDS = [form.keyword for form in forms() if form.keyword]


@pytest.fixture(autouse=True)
def _region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write region.png, whose upper half is bright, into an empty current folder."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.repeat(np.array([255, 0], np.uint8), 6).reshape(2, 6)).save("region.png")


@pytest.mark.parametrize(("text", "expected"), TEXTS, ids=[text for text, _ in TEXTS])
def test_a_text_names_the_expected_targets(text: str, expected: list[str]) -> None:
    assert [target.describe() for target in parse_targets(text, LABELS)] == expected


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[repr(text) for text, _ in WRONG])
def test_a_wrong_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(OnnxcamError) as caught:
        parse_targets(text, LABELS)
    assert message in str(caught.value)


@pytest.mark.parametrize("form", forms(), ids=lambda form: form.written)
def test_every_form_has_a_meaning_and_an_example_of_its_kind(form: Form) -> None:
    (kind,) = [kind for kind in kinds().values() if form in kind.forms()]
    module = kind.__module__.rpartition(".")[2]
    assert form.meaning
    assert form.example.startswith(form.keyword)
    assert module in SAMPLES, f"no samples of the kind in module {module}"
    assert form.example in SAMPLES[module].texts, "its example is no sample"
    assert all(type(target) is kind for target in parse_targets(form.example, LABELS))
    if form.takes_argument:
        with pytest.raises(OnnxcamError, match="is incomplete"):
            parse_targets(f"{form.keyword}:", LABELS)


def test_messages_and_help_list_every_form() -> None:
    assert list_forms().split(" | ") == [form.written for form in forms()]
    for form in forms():
        assert f"{form.written} ({form.meaning})" in explain_forms()


def test_the_command_line_says_every_form_in_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "explain", "--help")
    assert f"What to explain: {explain_forms()}." in " ".join(ran.out.split())


def test_forms_without_a_keyword_come_first_and_keywords_are_unique() -> None:
    assert [form.keyword for form in forms()] == [""] * (len(forms()) - len(KEYWORDS)) + KEYWORDS
    assert len(set(KEYWORDS)) == len(KEYWORDS)


def test_a_keyword_of_two_forms_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = (*Class.forms(), Form("box:WIDTH", "another box", "box:3", lambda text: []))
    monkeypatch.setattr(Class, "forms", lambda: twice)
    with pytest.raises(RuntimeError, match="two forms of targets begin with box"):
        forms.__wrapped__()


@pytest.mark.parametrize("text", ["top", "box", "mask", "predicted:3"])
def test_a_keyword_that_stands_otherwise_is_a_label(text: str) -> None:
    assert [target.describe() for target in parse_targets(text, ["cat", text])] == ["class 1"]


def test_the_file_of_a_mask_may_hold_colons(tmp_path: Path) -> None:
    Path("region.png").rename("a:b.png")
    (target,) = parse_targets("mask:a:b.png:cat", LABELS)
    assert isinstance(target, Class)
    assert target.index == 2
    assert target.mask is not None
    np.testing.assert_array_equal(target.mask, np.repeat([True, False], 6).reshape(2, 6))


pieces = st.sampled_from(
    [*KEYWORDS, *LABELS, ":", "-", "+", "0", "3", "99999999999", "region.png", " ", "\0", "\u0663"]
)
texts = st.text() | st.lists(pieces, max_size=6).map("".join)


@given(texts, st.sampled_from([None, [], [""], LABELS]))
def test_any_text_names_targets_or_raises_an_onnxcam_error(text: str, labels: list[str] | None) -> None:
    try:
        found = parse_targets(text, labels)
    except OnnxcamError:
        return
    assert found
    assert all(target.describe() for target in found)
