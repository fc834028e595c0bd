"""Peak memory of a piece of code, in a process of its own (Linux)."""

from __future__ import annotations

import subprocess
import sys

# What getrusage reports for a child begins with its parent's peak; the kernel's own record begins with the program.
_REPORT = """
import re
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def run_alone(code: str, *arguments: object) -> tuple[list[str], float]:
    """Run Python code in a new process.

    Returns:
        The lines that it printed, and its peak resident memory in MB.
    """
    command = [sys.executable, "-c", code + _REPORT, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    *lines, kilobytes = done.stdout.split("\n")[:-1]
    return lines, int(kilobytes) / 1000
