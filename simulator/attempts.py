"""Run: a job that is not over, and what its time went into.

Time that it holds its places is work that counted, work that was lost, or neither: starting and
stopping. It is counted whenever its pace changes, it saves, or its attempt ends.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from aimass.core.model import Placement
from aimass.core.speeds import NORMAL_MICRO
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.work import Setting, Work

NOWHERE = Setting("", (1,))


class Record(NamedTuple):
    """What became of one job. Times in ms on the trace's clock; start_ms, end_ms: -1 for never.

    Of held_ms, the time that it held its places, worked_ms were work that counted and lost_ms work
    that was thrown away; the rest went into starting and stopping. held, worked: the same times its
    GPUs, in milli-GPU x ms. is_failed: end_ms is when it was given up. failures: of its attempts.
    """

    job: TraceJob
    start_ms: int
    end_ms: int
    attempts: int
    preemptions: int
    held_ms: int
    worked_ms: int
    lost_ms: int
    held: int = 0
    worked: int = 0
    failures: int = 0
    is_failed: bool = False


@dataclass(slots=True)
class Run:
    """A job that is not over.

    version: of what is to happen to it; whatever was foreseen under another will not. ranks: of its
    attempt's shards, that still hold their places. since_ms: up to when its work is counted; -1:
    its attempt does not work. unsaved_ms: of that, not yet saved, and ahead_nano: how far it
    brought the job, as work that nothing slowed down. is_leaving: its attempt was told to stop.
    is_frozen: it does no more, and nobody knows.
    """

    job: TraceJob
    work: Work
    attempt: int = 0
    version: int = 0
    start_ms: int = -1
    placed_ms: int = -1
    since_ms: int = -1
    save_ms: int = -1
    places: tuple[Placement, ...] = ()
    ranks: list[int] = field(default_factory=list)
    milli: int = 0
    is_leaving: bool = False
    is_frozen: bool = False
    on: Setting = NOWHERE
    pace_micro: int = NORMAL_MICRO
    unsaved_ms: int = 0
    ahead_nano: int = 0
    preemptions: int = 0
    failures: int = 0
    held_ms: int = 0
    worked_ms: int = 0
    lost_ms: int = 0
    held: int = 0
    worked: int = 0

    def go_on(self, at_ms: int) -> None:
        """Count its work until then."""
        if 0 <= self.since_ms < at_ms:
            elapsed_ms = at_ms - self.since_ms
            self.since_ms = at_ms
            self.unsaved_ms += elapsed_ms
            self.ahead_nano += elapsed_ms * self.pace_micro

    def save(self, at_ms: int) -> None:
        """All work until then counts."""
        self.go_on(at_ms)
        whole_ms, self.ahead_nano = divmod(self.ahead_nano, NORMAL_MICRO)
        self.work.advance(self.on, whole_ms)
        self.worked_ms += self.unsaved_ms
        self.worked += self.unsaved_ms * self.milli
        self.unsaved_ms = 0

    def finish(self, at_ms: int) -> None:
        """It is done: the rest of its work counts."""
        self.go_on(at_ms)
        self.worked_ms += self.unsaved_ms
        self.worked += self.unsaved_ms * self.milli
        self.unsaved_ms, self.since_ms = 0, -1

    def lose(self, at_ms: int) -> None:
        """All work since the last save is lost, and it works no more."""
        self.go_on(at_ms)
        self.lost_ms += self.unsaved_ms
        self.unsaved_ms = self.ahead_nano = 0
        self.since_ms = -1

    def end_ms(self) -> int:
        """When it will be done, as it goes on now."""
        left_nano = self.work.duration_ms(self.on) * NORMAL_MICRO - self.ahead_nano
        return self.since_ms + -(-left_nano // self.pace_micro)

    def leave(self, at_ms: int, ranks: list[int], milli: int) -> None:
        """Shards of its attempt leave their places, so much; with the last the attempt is over."""
        elapsed_ms = at_ms - self.placed_ms
        self.held += elapsed_ms * milli
        self.ranks = (
            [rank for rank in self.ranks if rank not in ranks] if self.ranks != ranks else []
        )
        if not self.ranks:
            self.held_ms += elapsed_ms
            self.since_ms = self.placed_ms = -1

    def record(self, end_ms: int, is_failed: bool = False) -> Record:
        """What became of it by then."""
        return Record(
            self.job,
            self.start_ms,
            end_ms,
            self.attempt,
            self.preemptions,
            self.held_ms,
            self.worked_ms,
            self.lost_ms,
            self.held,
            self.worked,
            self.failures,
            is_failed,
        )
