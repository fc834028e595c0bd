"""Differentiate ONNX's backend node tests and print what holds: ``python -m tools.node_tests``."""

from __future__ import annotations

import sys
import warnings

from onnxcam.autodiff.registry import gradient_table
from tests.helpers.node_cases import check_all


def main() -> int:
    """Print the figures, the operators without a rule with the reason, and the failures; 1 if there is one."""
    warnings.simplefilter("ignore")
    tally = check_all()
    passed, failed, refused = (tally.having(verdict) for verdict in ("passed", "failed", "no rule"))
    idle = tally.having("not run")
    smooth = len(passed) + len(failed) + len(refused) + len(idle)
    rules = {op for _, op in gradient_table()}
    print(f"{len(tally.outcomes)} cases, {smooth} with differentiable inputs")
    print(f"cases passed: {len(passed)} ({sum(o.engine == 'float64' for o in passed)} in float64)")
    print(f"cases failed: {len(failed)}")
    print(f"cases that no engine runs: {len(idle)}")
    print(f"cases without a rule: {len(refused)}")
    print(f"operators with a rule covered: {len(rules & tally.covered)} of {len(rules)}")
    print("not covered:", ", ".join(sorted(rules - tally.covered)) or "none")
    print("operators without a rule, and why:")
    for reason, count in tally.reasons().items():
        print(f"{count:5d}  {reason}")
    for outcome in (*failed, *idle):
        print(f"{outcome.verdict}: {outcome.name}: {outcome.reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
