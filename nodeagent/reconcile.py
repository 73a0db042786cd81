"""reconcile(desired, local) -> actions: what to do so that the node holds what it should. PURE.

Level-triggered: a desired set that is lost, repeated or late does no harm, and deciding again after
the actions have been done gives nothing new. Who does them, and how, is agent.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class ShardKey(NamedTuple):
    """Names one try of one shard; its folder has the same name. Ever launched at most once."""

    job_id: str
    attempt: int
    rank: int

    @property
    def folder(self) -> str:
        return f"{self.job_id}.{self.attempt}.{self.rank}"

    @classmethod
    def of_folder(cls, name: str) -> "ShardKey | None":
        """Read a folder's name back; None when it is not one of ours."""
        job_id, *numbers = name.rsplit(".", 2)
        if not job_id or len(numbers) != 2 or not all(number.isdigit() for number in numbers):
            return None
        return cls(job_id, int(numbers[0]), int(numbers[1]))


class Phase(Enum):
    """How far a shard has come on this node."""

    PREPARED = "PREPARED"  # its rendezvous port is reserved
    INTENDED = "INTENDED"  # its launch is on disk, and no shim has it
    LAUNCHING = "LAUNCHING"  # a shim has it or is about to
    RUNNING = "RUNNING"
    EXITED = "EXITED"

    @property
    def is_live(self) -> bool:
        """True while a shim may hold it: only the shim can end it."""
        return self in (Phase.LAUNCHING, Phase.RUNNING)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One assignment of the desired set, as far as reconciling goes."""

    stop: bool = False
    grace_ms: int = 0
    stop_reason: str = ""
    waits_for_port: bool = False  # several shards, and the rendezvous port is not known yet
    notice_ms: int = 0  # with stop: for a checkpoint, before SIGTERM
    notice_signal: str = ""


@dataclass(frozen=True, slots=True)
class Local:
    """What the node knows of one shard."""

    phase: Phase
    grace_ms: int = 0  # for a stop that nobody ordered
    stop_grace_ms: int | None = None  # the shortest grace its shim has been told; None: no stop
    stop_notice_ms: int = 0  # the shortest notice its shim has been told


@dataclass(frozen=True, slots=True)
class ReservePort:
    """Bind a rendezvous port for rank 0's attempt and report it."""

    key: ShardKey


@dataclass(frozen=True, slots=True)
class Launch:
    """Start the shard, or finish a start that a crash has cut off."""

    key: ShardKey


@dataclass(frozen=True, slots=True)
class Stop:
    """End the shard; one that has no shim is recorded as ended without having run."""

    key: ShardKey
    grace_ms: int
    reason: str
    notice_ms: int = 0
    notice_signal: str = ""


@dataclass(frozen=True, slots=True)
class Forget:
    """Report it no more; its output stays until the space is needed."""

    key: ShardKey


Action = ReservePort | Launch | Stop | Forget

NO_LONGER_WANTED = "the scheduler has given its place away"


def reconcile(desired: Mapping[ShardKey, Wanted], local: Mapping[ShardKey, Local]) -> list[Action]:
    """Say what to do, stops first: they free what a launch may need. O(desired + local)."""
    living = {(key.job_id, key.rank) for key, shard in local.items() if shard.phase.is_live}
    stops: list[Action] = []
    others: list[Action] = []
    for key, shard in local.items():
        if key in desired:
            continue
        if shard.phase is Phase.EXITED:
            others.append(Forget(key))
        elif _is_news(shard, shard.grace_ms, 0):
            stops.append(Stop(key, shard.grace_ms, NO_LONGER_WANTED))
    for key, wanted in desired.items():
        held = local.get(key)
        if held is not None and held.phase is Phase.EXITED:
            continue
        if wanted.stop:
            if held is None or _is_news(held, wanted.grace_ms, wanted.notice_ms):
                notice = wanted.notice_ms, wanted.notice_signal
                stops.append(Stop(key, wanted.grace_ms, wanted.stop_reason, *notice))
        elif wanted.waits_for_port:
            if held is None and key.rank == 0:
                others.append(ReservePort(key))
        elif (key.job_id, key.rank) not in living:
            # Not even when the living one is another attempt on its way out: never both at once.
            others.append(Launch(key))
            living.add((key.job_id, key.rank))
    return stops + others


def _is_news(shard: Local, grace_ms: int, notice_ms: int) -> bool:
    """Say whether an order to stop would change anything: the first one, or one with less time."""
    if shard.stop_grace_ms is None:
        return True
    return grace_ms < shard.stop_grace_ms or notice_ms < shard.stop_notice_ms


@dataclass(frozen=True, slots=True)
class Fence:
    """The newest leadership and generation this node has obeyed; older ones are refused."""

    term: int = 0
    generation: int = 0

    def admits(self, term: int, generation: int) -> bool:
        """True for a newer term, or this term's same or newer generation (repeats do no harm)."""
        return (term, generation) >= (self.term, self.generation)
