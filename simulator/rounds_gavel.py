"""Gavel's simulator, round by round: who holds which type of GPU, in float64 seconds.

The published simulator (stanford-futuredata/gavel, commit c4fa400; OSDI 2020, section 5) step by
step, so that every completion time comes out as it does there. Shares of time come from a policy
(parity_gavel.py); a round gives each type to whom its shares owe most. Types are numbers, fastest
last; `rounds.py` makes events of what is decided here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

# The reference draws from a stream of its own for this; its seed is five more than the run's.
SHUFFLE_SEED_OFFSET = 5
FAILURES_MAX = 5
NEVER_RUN = 1e9  # the factor of a share before the first reset


class RoundJob(NamedTuple):
    """A job as the loop knows it. rates: steps a second on each type; 0: it does not fit there."""

    arrival_s: float
    steps: int
    gpus: int
    rates: tuple[float, ...]
    weight: float = 1.0
    due_s: float = 0.0  # 0: whenever


@dataclass(slots=True)
class Live:
    """A job that is not over; lists are by type.

    ran_s: since the last reset, and half a round more. owed_s: what earlier shares promised beyond
    what was got. shares: the policy's last answer; None: it came later. failures: slices in a row
    that were too short to count.
    """

    index: int
    job: RoundJob
    left: int
    ran_s: list[float]
    owed_s: list[float]
    priority: list[float]
    shares: list[float] | None = None
    failures: int = 0


class Moment(NamedTuple):
    """What a policy sees. capacity: GPUs of each type."""

    now_s: float
    live: Sequence[Live]
    capacity: tuple[int, ...]


class SharePolicy(Protocol):
    """Who should have which part of the time on which type."""

    @property
    def is_shuffled(self) -> bool: ...  # types are gone through in a new order each round
    @property
    def is_greedy(self) -> bool: ...  # who has no share does not fill gaps either

    def shares(self, moment: Moment) -> dict[int, list[float]]:
        """Shares of time on each type, by index of the job."""
        ...


class Slice(NamedTuple):
    """A job at work in a round; it ends with the round or before. job: its index."""

    end_s: float
    job: int
    steps: int
    type_: int


class Round(NamedTuple):
    """What a round begins with, and what has ended since the last.

    holding: the type of each job that holds GPUs in this round. working: who of them works, and
    until when: the others joined after the last shares were made.
    """

    start_s: float
    ended: list[tuple[int, float]]
    holding: dict[int, int]
    working: dict[int, float]


@dataclass
class Rounds:
    """One run of the loop; `play` it once.

    round_s: the most that a round lasts. reset_s: shares are made anew when jobs have come or gone,
    and that much has passed since the last time. cut_short: jobs that were taken for over although
    steps were left: the last of them are too few for a slice of their own.
    """

    jobs: Sequence[RoundJob]
    capacity: tuple[int, ...]
    policy: SharePolicy
    seed: int = 0
    round_s: float = 360.0
    reset_s: float = 1920.0
    cut_short: int = 0
    allocations: int = 0
    live: dict[int, Live] = field(default_factory=dict)

    def __post_init__(self) -> None:
        types = len(self.capacity)
        self._random = Random(self.seed + SHUFFLE_SEED_OFFSET)
        self._order = list(range(types))[::-1]
        self._used_s = [0.0] * types
        self._come = 0
        self._is_stale = True
        self._reset_at_s = 0.0

    def play(self) -> Iterator[Round]:
        """Rounds, until one in which nobody is left. O(rounds * live * log live)."""
        now_s, round_start_s = 0.0, 0.0
        round_end_s: float | None = None
        slices: list[Slice] = []
        while True:
            next_s = self.jobs[self._come].arrival_s if self._come < len(self.jobs) else None
            if next_s is None and not slices:
                self._reset_at_s = 0.0
            if slices:
                if round_end_s is not None:
                    round_start_s = round_end_s
                now_s = round_end_s = max(slice_.end_s for slice_ in slices)
            elif next_s is not None:
                now_s = next_s
            ended = self._retire(slices, round_start_s)
            self._admit(now_s)
            if self._is_stale and (
                now_s - self._reset_at_s >= self.reset_s or self._reset_at_s == 0
            ):
                self._reset(now_s)
            holding, slices = self._choose(now_s)
            yield Round(now_s, ended, holding, {one.job: one.end_s for one in slices})
            if not self.live and self._come == len(self.jobs):
                return

    def _retire(self, slices: list[Slice], round_start_s: float) -> list[tuple[int, float]]:
        """Count what was done, latest end first: sums of floats depend on the order."""
        ended: list[tuple[int, float]] = []
        for end_s, index, steps, type_ in sorted(slices, key=_latest_first):
            live = self.live[index]
            if steps // live.job.gpus == 0:
                self._is_stale = True
                live.failures += 1
                self.cut_short += live.failures == FAILURES_MAX
            else:
                elapsed_s = end_s - round_start_s
                live.failures = 0
                live.left -= steps
                live.ran_s[type_] += elapsed_s
                self._used_s[type_] += elapsed_s
            if live.left <= 0 or live.failures == FAILURES_MAX:
                ended.append((index, end_s))
                del self.live[index]
                self._is_stale = True
        return ended

    def _admit(self, now_s: float) -> None:
        types = len(self.capacity)
        while self._come < len(self.jobs) and self.jobs[self._come].arrival_s <= now_s:
            job = self.jobs[self._come]
            self.live[self._come] = Live(
                self._come, job, job.steps, self._half(), [0.0] * types, [0.0] * types
            )
            self._come += 1
            self._is_stale = True

    def _half(self) -> list[float]:
        return [self.round_s / 2] * len(self.capacity)

    def _reset(self, now_s: float) -> None:
        """Note what the old shares still owe, and ask the policy for new ones."""
        elapsed_s, half_s = now_s - self._reset_at_s, self.round_s / 2
        for type_ in range(len(self.capacity)):
            used_s = 0.0
            for live in self.live.values():
                due_s = live.shares[type_] * elapsed_s if live.shares is not None else 0.0
                live.owed_s[type_] += due_s - (live.ran_s[type_] - half_s)
                used_s += half_s
            self._used_s[type_] = used_s
        self._reset_at_s = now_s
        self._is_stale = False
        found: dict[int, list[float]] = {}
        if self.live:
            self.allocations += 1
            found = self.policy.shares(Moment(now_s, [*self.live.values()], self.capacity))
        for live in self.live.values():
            live.ran_s = self._half()
            live.shares = found.get(live.index)

    def _choose(self, now_s: float) -> tuple[dict[int, int], list[Slice]]:
        """Give each type to those to whom it is owed most, as far as it goes."""
        everybody = [*self.live.values()]
        self._prioritise(everybody)
        order = self._order[:]
        if self.policy.is_shuffled:
            self._random.shuffle(order)
        holding: dict[int, int] = {}
        slices: list[Slice] = []
        for type_ in order:
            left = self.capacity[type_]
            owed = [_owed(live, type_) for live in everybody]
            for at in sorted(range(len(everybody)), key=owed.__getitem__, reverse=True):
                if not left:
                    break
                live = everybody[at]
                job, rate = live.job, live.job.rates[type_]
                if live.index in holding or rate <= 0 or job.gpus > left:
                    continue
                if self.policy.is_greedy and live.priority[type_] <= 0:
                    continue
                left -= job.gpus
                holding[live.index] = type_
                if live.shares is not None:
                    steps = min(int(rate * self.round_s), live.left)
                    slices.append(Slice(now_s + steps / rate, live.index, steps, type_))
        return holding, slices

    def _prioritise(self, everybody: list[Live]) -> None:
        """Share, of the part of the type's time that was got: most is owed to the highest."""
        for type_, used_s in enumerate(self._used_s):
            for live in everybody:
                share = live.shares[type_] if live.shares is not None else 0.0
                if not share or not live.job.rates[type_]:
                    live.priority[type_] = 0.0
                elif used_s:
                    live.priority[type_] = share / (live.ran_s[type_] / used_s)
                else:
                    live.priority[type_] = share * NEVER_RUN


def _latest_first(slice_: Slice) -> tuple[float, int]:
    return -slice_.end_s, slice_.job


def _owed(live: Live, type_: int) -> tuple[float, float, float]:
    share = live.shares[type_] if live.shares is not None else 0.0
    return live.priority[type_], live.owed_s[type_], share
