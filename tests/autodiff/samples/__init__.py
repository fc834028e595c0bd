"""Generated samples of every rule, by family; importing this package draws them all."""

from __future__ import annotations

import importlib
import pkgutil

from tests.helpers.sample import GENERATED, Sample

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

SAMPLES: list[Sample] = [sample for family in GENERATED.values() for sample in family]
