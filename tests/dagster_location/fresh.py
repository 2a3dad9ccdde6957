"""A fresh interpreter: what an import brings in can be seen in no other way."""

import os
import re
import subprocess
import sys
from pathlib import Path


def run_python(
    code: str, *flags: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in a new process of this Python, in a folder that is not the repository's."""
    return subprocess.run(
        [sys.executable, *flags, "-c", code],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def imported_by(
    code: str, names: list[str], cwd: Path, environment: dict[str, str] | None = None
) -> set[str]:
    """Which of some modules are loaded once code has run."""
    done = run_python(
        f"import sys\n{code}\nprint('loaded:', *[name for name in {names!r} if name in sys.modules])",
        cwd=cwd,
        environment=environment,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("loaded:")]
    return set(line.split()[1:])


def mapped_files(maps: str) -> set[str]:
    """The files in a process's `/proc/self/maps`; not its addresses, for hexadecimal spells words."""
    lines = maps.splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if re.match(r"[0-9a-f]+-[0-9a-f]+ .* /", line)}
