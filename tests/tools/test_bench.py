"""What benchmarks measured becomes tables of README and manual."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from tests.helpers.models import floats, model
from tools import bench
from tools.benchmarks import perturbation
from tools.benchmarks.peak import run_alone
from tools.benchmarks.result import Result, at_least, at_most
from tools.docs import benchmarks


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of measurements of its own."""
    path = tmp_path / "measured.json"
    path.write_text(benchmarks.MEASURED.read_text())
    monkeypatch.setattr(benchmarks, "MEASURED", path)
    monkeypatch.setattr(bench, "MEASURED", path)
    return path


def test_every_benchmark_was_measured() -> None:
    assert set(benchmarks.measured()) == set(bench.names())


def test_what_was_measured_stands_in_the_table_with_machine_and_date(kept: Path) -> None:
    results = [at_most("a new line", 0.123456, 0.2, "s", "twice"), at_least("another", 1.5, 2)]
    before = benchmarks.measured()
    bench.keep("maps", "Maps.", results, "cpu")
    assert {name: found for name, found in json.loads(kept.read_text()).items() if name != "maps"} == {
        name: found for name, found in before.items() if name != "maps"
    }
    table = benchmarks.benchmark_tables().partition("### maps\n")[2].partition("\n### ")[0]
    assert "| a new line | 0.123 s | at most 0.2 s | twice |" in table
    assert "| another | 1.5 (does not hold) | at least 2 |  |" in table
    assert "`python -m tools.bench maps`, 20" in table
    assert "cores, provider cpu, onnxruntime" in table


def test_the_readme_shows_figures_that_were_measured(kept: Path) -> None:
    found = benchmarks.measured()
    found["perturbation"]["rows"] = [Result("Score-CAM: pytorch-grad-cam's time over ours", 4.5678).to_dict()]
    kept.write_text(json.dumps(found))
    assert "Score-CAM | 4.57 | `python -m tools.bench perturbation`" in benchmarks.ratios()


def test_the_code_whose_memory_is_measured_runs(tmp_path: Path) -> None:
    text = """g (float[n, 3, 224, 224] x) => (float[n, 300] y) {
        c = Conv <strides = [32, 32]> (x, w) a = Relu (c) p = GlobalAveragePool (a) f = Flatten (p) y = MatMul (f, v)
    }"""
    onnx.save(model(text, {"w": floats(64, 3, 1, 1), "v": floats(64, 300)}), tmp_path / "m.onnx")
    lines, memory = run_alone(perturbation.OUR_SCORES, tmp_path / "m.onnx")
    assert lines == []
    assert memory > 10
