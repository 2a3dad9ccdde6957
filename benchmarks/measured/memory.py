"""The memory that a piece of work takes beyond what its process held before."""

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


class ExtraMemory:
    """Watches from when it is made; on Linux an earlier, higher peak does not hide what comes."""

    def __init__(self) -> None:
        if _STATUS.exists():
            Path("/proc/self/clear_refs").write_text("5")  # the peak is the present again
        self._before = _peak_mb()

    def mb(self) -> float:
        """How far the peak has risen since then."""
        return _peak_mb() - self._before


def _peak_mb() -> float:
    if _STATUS.exists():
        (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
