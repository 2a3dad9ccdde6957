"""Run one command and write what it took: `python -S benchmarks/launch.py REPORT COMMAND...`.

A process starts with the peak memory of the one that spawned it. This launcher is small, so that a figure
is the command's own; it imports nothing but the standard library.
"""

import json
import os
import sys
import time


def main() -> None:
    """Spawn, wait, write seconds, peak memory in MB and exit code; ends with the command's code."""
    report, *command = sys.argv[1:]
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    with open(report, "w") as file:
        json.dump({"seconds": seconds, "peak_mb": usage.ru_maxrss / unit, "code": code}, file)
    sys.exit(code if code >= 0 else 1)


if __name__ == "__main__":
    main()
