"""What a queueing replay is measured by: waiting times, and the cluster's state over time."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from aimass.core.shapes import Shape
from aimass.policies.pack_engine import Packer
from aimass.policies.pack_mix import Mix
from aimass.policies.pack_worth import fragmentation

SAMPLES = 96  # of the state over time, each the mean of one part of the whole time


class Span(NamedTuple):
    """Which jobs are counted, and how long the replay lasts. Times in ms."""

    begin: int  # jobs that arrive from here
    end: int  # to here are counted
    stop: int  # here it ends; a job that has not started has waited until now


class Sample(NamedTuple):
    """The mean state over one part of the time. Shares are percent of all GPUs."""

    at_ms: int  # its end
    alloc_pct: float
    frag_pct: float
    waiting: float  # jobs


@dataclass
class Outcome:
    """What became of the counted jobs that ask for GPUs, and of the cluster meanwhile."""

    waits_ms: list[int] = field(default_factory=list)
    waits_8_ms: list[int] = field(default_factory=list)  # of those with 8 GPUs on one node, or more
    unstarted: int = 0  # of waits_ms: they waited longer than that
    alloc_pct: float = 0.0  # mean over the counted time
    frag_pct: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    decisions: int = 0
    cpu_s: float = 0.0


class Meter:
    """Integrates what is allocated, fragmented and waiting over time, by sample and in all."""

    def __init__(self, packer: Packer, mix: Mix, span: Span) -> None:
        self._packer, self._mix, self._span = packer, mix, span
        self._now = 0
        self._of_node = [self._fragments(node) for node in range(len(packer.nodes.model))]
        # Milli-GPU allocated, fragments (times the mix' weight), jobs waiting.
        self._state = [0, sum(self._of_node), 0]
        self._sums = [[0, 0, 0] for _ in range(SAMPLES)]  # of state times ms
        self._counted = [0, 0, 0]

    def advance(self, now: int) -> None:
        """Let the present state have lasted until now."""
        span, part = self._span, self._span.stop / SAMPLES
        while self._now < now:
            sample = min(SAMPLES - 1, int(self._now / part))
            until = (
                now
                if sample == SAMPLES - 1
                else min(now, max(self._now + 1, int((sample + 1) * part)))
            )
            counted = max(0, min(until, span.end) - max(self._now, span.begin))
            sums, lasted = self._sums[sample], until - self._now
            for at, amount in enumerate(self._state):
                sums[at] += amount * lasted
                self._counted[at] += amount * counted
            self._now = until

    def take(self, node: int, shape: Shape, devices: tuple[int, ...], sign: int) -> None:
        """Place a pod (sign 1) or take it away (-1), and keep the sums right."""
        change = self._packer.take if sign > 0 else self._packer.release
        change(node, shape, devices)
        self._state[0] += sign * shape.total_milli
        self._state[1] -= self._of_node[node]
        self._of_node[node] = self._fragments(node)
        self._state[1] += self._of_node[node]

    def wait(self, change: int) -> None:
        """So many more jobs wait."""
        self._state[2] += change

    def report(self, outcome: Outcome, capacity_milli: int) -> None:
        """Write the means."""
        span, scale = self._span, np.array([100 / capacity_milli, 100 / capacity_milli, 1.0])
        scale[1] /= max(1, self._mix.weight)
        edges = np.arange(SAMPLES + 1) * span.stop / SAMPLES
        means = np.array(self._sums, float) * scale / np.diff(edges)[:, None]
        outcome.samples = [
            Sample(int(at), *map(float, row)) for at, row in zip(edges[1:], means, strict=True)
        ]
        alloc, frag, _ = np.array(self._counted, float) * scale / (span.end - span.begin)
        outcome.alloc_pct, outcome.frag_pct = float(alloc), float(frag)

    def _fragments(self, node: int) -> int:
        return int(fragmentation(self._mix, self._packer.nodes, node))
