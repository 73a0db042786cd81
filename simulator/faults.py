"""What breaks, how often, and for how long: failures of programs, GPUs, nodes, racks; stragglers.

Rates are in FIT, failures in 10^9 hours, of one GPU. Failures come independently of each other and
of what runs (Poisson), so that every policy of a seed meets the same.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

HOUR_MS = 3_600_000
FIT_HOURS = 10**9


@dataclass(frozen=True, slots=True)
class Faults:
    """Failures of one GPU by what they take down, in FIT, and how long that stays out of service.

    app_fit: only the program that runs there. gpu_fit: the GPU, until it is reset and tested.
    node_fit: its node restarts. rack_fit: all nodes of its rack, or only its own where it is in
    none. slow_fit: it gets slower, to slow_micro millionths of its speed for slow_ms. lease_ms: so
    long a silent node is waited for until its jobs are given up.
    """

    app_fit: int = 0
    gpu_fit: int = 0
    node_fit: int = 0
    rack_fit: int = 0
    slow_fit: int = 0
    gpu_ms: int = 600_000
    node_ms: int = 900_000
    rack_ms: int = HOUR_MS
    slow_micro: int = 500_000
    slow_ms: int = 2 * HOUR_MS
    lease_ms: int = 600_000  # what massd waits

    @property
    def rates(self) -> tuple[int, ...]:
        """FIT by kind, as in KINDS."""
        return (self.app_fit, self.gpu_fit, self.node_fit, self.rack_fit, self.slow_fit)


KINDS = APP, GPU, NODE, RACK, SLOW = range(5)
NO_FAULTS = Faults()

# The Llama 3 report (2024), table 5: 419 unexpected interruptions of 16,384 H100 in 54 days, 21.2
# million GPU-hours. Programs: software 54, NCCL watchdog 7, dependencies 2. GPUs: faulty 148, HBM3
# 72, SRAM 19, system processor 17, silent corruption 6, thermal and sensors 6. Nodes: host
# maintenance 32, NIC 7, SSD 3, power supply 3, chassis 2, IO board 2, CPU 2, memory 2. Network
# switches and cables 35. How long repairs take it does not say: those times are assumptions.
LLAMA3 = Faults(app_fit=2_967, gpu_fit=12_621, node_fit=2_496, rack_fit=1_648)
NAMED = {"none": NO_FAULTS, "llama3": LLAMA3}


def changed(faults: Faults, given: dict[str, int]) -> Faults:
    """The same but for what is given."""
    return replace(faults, **given)


class FaultStream:
    """When the next failure comes on a cluster of so many GPUs, of which kind, and where."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._rates = tuple(accumulate(faults.rates))
        self._chance = Random(f"{seed}/failures")
        self._gpus = 0
        self.next_ms: int | None = None

    def resize(self, at_ms: int, gpus: int) -> None:
        """The cluster has so many GPUs from now on."""
        self._gpus = gpus
        self._draw(at_ms)

    def take(self) -> tuple[int, int]:
        """The failure at next_ms: its kind, and which GPU of all it is about."""
        assert self.next_ms is not None, "nothing fails"
        kind = bisect_right(self._rates, self._chance.randrange(self._rates[-1]))
        which = self._chance.randrange(self._gpus)
        self._draw(self.next_ms)
        return kind, which

    def _draw(self, at_ms: int) -> None:
        """The time to the next one has no memory: it may be drawn anew at any moment."""
        rate = self._rates[-1] * self._gpus
        if rate:
            hours = self._chance.expovariate(1.0) * FIT_HOURS / rate
            self.next_ms = at_ms + 1 + int(hours * HOUR_MS)
        else:
            self.next_ms = None


def gpu_at(totals: Sequence[int], which: int) -> tuple[int, int]:
    """(node, GPU of it) of all GPUs in order; totals: how many there are up to each node."""
    node = bisect_right(totals, which)
    return node, which - (totals[node - 1] if node else 0)
