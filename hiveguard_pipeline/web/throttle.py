"""Failed sign-ins slow further ones down: by name and address, by address, and by name.

Nobody is locked out for ever: a wait ends by itself, at most a quarter of an hour after the last failure, and
an address from which somebody has signed in is not held to what others do to his name. The counts are
this process's own and bounded; each failure is an audit event besides.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

LONGEST_WAIT = 900.0
"""Seconds after which a failure is forgotten, and that a wait can take."""

MOST_REMEMBERED = 50_000

_FREE_OF_PAIR, _FREE_OF_ADDRESS, _FREE_OF_NAME = 5, 30, 50


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Throttle:
    """Counts failures; times are seconds of a clock that only goes forward."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, name: str, address: str, now: float | None = None) -> float:
        """Seconds until somebody may try again; 0 if now."""
        moment = time.monotonic() if now is None else now
        network = _network(address)
        with self._lock:
            waits = [
                self._wait(("pair", name, network), _FREE_OF_PAIR, moment),
                self._wait(("address", network), _FREE_OF_ADDRESS, moment),
            ]
            if (name, network) not in self._known:
                waits.append(self._wait(("name", name), _FREE_OF_NAME, moment))
        return max(waits)

    def failed(self, name: str, address: str, now: float | None = None) -> None:
        """Note a failure."""
        moment = time.monotonic() if now is None else now
        network = _network(address)
        with self._lock:
            for key in (("pair", name, network), ("address", network), ("name", name)):
                found = self._failures.pop(key, None)
                fresh = found is None or moment - found.last > LONGEST_WAIT
                self._failures[key] = _Failures(1 if found is None or fresh else found.count + 1, moment)
            while len(self._failures) > MOST_REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forget what somebody got wrong from here, and know the address as his."""
        network = _network(address)
        with self._lock:
            self._failures.pop(("pair", name, network), None)
            self._known.pop((name, network), None)
            self._known[(name, network)] = None
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)

    def _wait(self, key: tuple[str, ...], free: int, now: float) -> float:
        """After the free failures 2, 4, 8, ... seconds since the last one."""
        found = self._failures.get(key)
        if found is None or found.count < free:
            return 0.0
        wait = min(2.0 ** min(found.count - free + 1, 20), LONGEST_WAIT)
        return max(found.last + wait - now, 0.0)


def _network(address: str) -> str:
    """An address, or of IPv6 the /64 that one household or machine has to itself."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
