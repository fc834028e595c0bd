"""Methods that run parts of the network many times, at ResNet-50's last layer, against pytorch-grad-cam."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import onnxcam
from onnxcam.runtime.providers import preferred
from tools.benchmarks import peers
from tools.benchmarks.networks import export, network
from tools.benchmarks.peak import run_alone
from tools.benchmarks.result import Result, at_least, at_most
from tools.benchmarks.timing import interleaved

_TARGET = 281
_CHANNELS = 2048
# Channels that pytorch-grad-cam runs: its time grows with their number, so that it can be scaled to all of them.
_SHARE = 32
# Different masks where peak memory is measured; the others repeat them.
_MASKS = 64
_TARGETS = 10


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time Ablation-, Recipro- and Score-CAM, and ten targets at once."""
    module = network("resnet50")
    path = export(module, folder / "resnet50.onnx")
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    plain = onnxruntime.InferenceSession(str(path), providers=preferred([provider]))

    def explain(method: Any, targets: Any = _TARGET) -> Any:
        explainer = onnxcam.Explainer(path, method, providers=[provider])
        return lambda: explainer(x, targets)

    yield from _ablation(module, x, explain)
    yield from _score(module, x, provider, path)
    times = interleaved(
        {
            "plain": lambda: plain.run(None, {"x": x}),
            "recipro-cam": explain("recipro-cam"),
            "runs": explain(onnxcam.method("recipro-cam", closed_form=False)),
        },
        15,
    )
    detail = f"plain {times['plain'].seconds * 1000:.0f} ms"
    yield at_most("Recipro-CAM over a plain run, closed form", times["recipro-cam"].ratio, 1.5, detail=detail)
    yield at_most("Recipro-CAM over a plain run, every position run", times["runs"].ratio, 1.5, detail=detail)
    several = [list(range(_TARGETS))]
    times = interleaved({"one": explain("hires-cam"), "ten": explain("hires-cam", several)}, 41)
    detail = f"one {times['one'].seconds * 1000:.0f} ms"
    yield at_most("hires-cam, 10 targets of one image over one", times["ten"].ratio, 1.3, detail=detail)


def _ablation(module: Any, x: Any, explain: Any) -> Iterator[Result]:
    theirs = peers.ablation_cam(module, module.layer4[-1], x, _TARGET, _SHARE)
    times = interleaved(
        {
            "peer": theirs,
            "closed": explain("ablation-cam"),
            "runs": explain(onnxcam.method("ablation-cam", closed_form=False)),
        },
        5,
        warmup=1,
    )
    whole = times["peer"].seconds * _CHANNELS / _SHARE
    for name, key, bound in (("closed form", "closed", 300), ("every channel run", "runs", 100)):
        ratio = _CHANNELS / _SHARE / times[key].ratio
        detail = f"theirs {whole:.0f} s, scaled from {_SHARE} of {_CHANNELS} channels; ours {times[key].seconds:.2f} s"
        yield at_least(f"Ablation-CAM, {name}: pytorch-grad-cam's time over ours", ratio, bound, detail=detail)


def _score(module: Any, x: Any, provider: str, path: Path) -> Iterator[Result]:
    explainer = onnxcam.Explainer(path, "score-cam", providers=[provider])
    theirs = peers.score_cam(module, module.layer4[-1], x, _TARGET, _CHANNELS)
    # Minutes each, and not scaled: over so many masked images the peer's memory slows it down too.
    times = interleaved({"peer": theirs, "ours": lambda: explainer(x, _TARGET)}, 1, warmup=0)
    detail = f"theirs {times['peer'].seconds:.0f} s, ours {times['ours'].seconds:.0f} s, all {_CHANNELS} channels"
    yield at_least("Score-CAM: pytorch-grad-cam's time over ours", 1 / times["ours"].ratio, 2, detail=detail)
    peak = [run_alone(code, path)[1] for code in (OUR_SCORES, _THEIR_SCORES)]
    detail = f"{peak[0]:.0f} MB over {peak[1]:.0f} MB, each in a process of its own"
    yield at_most("Score-CAM: our peak memory over theirs", peak[0] / peak[1], 0.5, detail=detail)


# Programs whose peak memory is compared. Both run a few of the masked images only, which is when the peak is reached:
# pytorch-grad-cam makes the masked images of all channels before it runs the first.
OUR_SCORES = f"""
import sys, numpy, onnxcam
x = numpy.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(numpy.float32)
view = onnxcam.Explainer(sys.argv[1], "hires-cam", providers=["cpu"]).view(x, {_TARGET})
view.masked_image(0, view.a[0][numpy.arange({_CHANNELS}) % {_MASKS}][: 2 * {_MASKS}])
"""
_THEIR_SCORES = f"""
import numpy, sys
from tools.benchmarks import peers
from tools.benchmarks.networks import network
class Enough(Exception): pass
module = network("resnet50")
x = numpy.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(numpy.float32)
run = peers.score_cam(module, module.layer4[-1], x, {_TARGET}, {_CHANNELS})
calls = []
def stop(*_):
    calls.append(1)
    if len(calls) > 4:
        raise Enough
module.register_forward_hook(stop)
try:
    run()
except Enough:
    pass
"""
