"""Run pytest on several processes; what failed runs once more, one after the other.

Tests start servers, browsers and processes and wait for them: on a busy machine one of thousands
comes too late. Which ones needed a second run is printed; what fails twice fails.

    python tools/run_tests.py -n 3 -m 'not long' src tests
"""

from __future__ import annotations

import subprocess
import sys

_PYTEST = [sys.executable, "-m", "pytest"]
_SPREAD = ["--dist", "loadfile", "--no-loadscope-reorder"]
_PLAIN = ["--assert", "plain"]  # rewriting takes each process seconds; the second run explains
_AGAIN = ["--last-failed", "--last-failed-no-failures", "none", "-n", "1"]
_SOME_FAILED = 1


def main(arguments: list[str]) -> int:
    """Run them; return pytest's exit status, of the second run if there was one."""
    status = subprocess.run([*_PYTEST, *_SPREAD, *_PLAIN, *arguments], check=False).returncode
    if status != _SOME_FAILED:
        return status
    print("\nWhat failed runs once more, one after the other:", flush=True)
    status = subprocess.run([*_PYTEST, *arguments, *_AGAIN], check=False).returncode
    if status == 0:
        print("All of it passed the second time: see above what failed at first.", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
