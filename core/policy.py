"""The seams of a policy: who is next, where, whose capacity, and who grows. Each replaceable alone.

A policy reads the cluster and tries on a Draft; it never writes. What it returns is proved again by
check(), so a wrong policy can waste capacity but not break the cluster.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aimass.core.cluster import Cluster, Group
from aimass.core.draft import Draft
from aimass.core.model import Job, JobId, Placement


class Fuel:
    """A search budget in nodes examined: wall time may change when we decide, never what."""

    __slots__ = ("left",)

    def __init__(self, units: int) -> None:
        self.left = units

    def burn(self, units: int) -> None:
        """Take units; the search ends when none is left."""
        self.left = max(0, self.left - units)


@dataclass(frozen=True, slots=True)
class Want:
    """One form in which a job would start.

    sizes: shards per role. gpu_types: models that will do for roles with GPUs, instead of what
    their needs name; None: what they name. level: the topology level whose one domain must hold the
    whole gang; empty: none.
    """

    sizes: tuple[int, ...]
    gpu_types: tuple[str, ...] | None = None
    level: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a gang goes: placements by rank, the reason in one line, and how it was weighed."""

    placements: tuple[Placement, ...]
    reason: str
    trail: tuple[str, ...] = ()


class OrderPolicy(Protocol):
    """Who deserves capacity next."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def is_strict(self) -> bool: ...  # True: nobody passes a job that cannot start
    @property
    def is_across_queues(self) -> bool: ...  # True: priority counts between queues as well

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """Yield waiting jobs, most entitled first, leaving out groups in `blocked` (it grows).

        What the draft has started meanwhile counts: it is in the queues' accounts.
        """
        ...

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """True when the order would yield `first` before `second` now."""
        ...


class Standing(NamedTuple):
    """Where an active job stands in an order, and the milli-GPU that it holds."""

    rank: tuple[int, ...]
    job: Job
    held_milli: int


class RankedOrder(OrderPolicy, Protocol):
    """An order that preempts by itself: who comes later may be stopped for who comes earlier."""

    def rank(self, cluster: Cluster, job: Job) -> tuple[int, ...]:
        """Where a waiting or active job stands now: the least comes first, no two are equal.

        Begins with minus the priority. Whoever is stopped must not come before who it made way for.
        """
        ...

    def standing(self, cluster: Cluster) -> Sequence[Standing]:
        """All active jobs by rank, the first ones first. O(active log active) at each moment."""
        ...

    def next_change_ms(self, cluster: Cluster) -> int:
        """When time alone will next put an active job behind one that waits; 0: never."""
        ...


class PlacePolicy(Protocol):
    """Where a gang goes."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        """Place the whole gang on the draft (see Draft.place) as attempt job.attempt + 1.

        Returns None when it does not fit; the caller then rolls back.
        """
        ...


class VictimPolicy(Protocol):
    """Whose capacity is taken first."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...

    def cost(self, cluster: Cluster, job: Job) -> int:
        """What stopping the active job now would cost; the cheapest go first. Never negative."""
        ...


class ResizePolicy(Protocol):
    """Who grows into what idles."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...

    def gain(
        self, cluster: Cluster, job: Job, shards: int, places: Sequence[Placement] = ()
    ) -> int:
        """What it is worth to restart the active job with so many elastic shards; <= 0: nothing.

        places: where the gang would go, in rank order; empty: at best, wherever that is.
        """
        ...


class Grant(NamedTuple):
    """What one job should hold now. want.gpu_types: the models that will do, or None."""

    job_id: JobId
    want: Want
    reason: str


class Allotment(NamedTuple):
    """What all jobs should hold, in the order in which it is given out; the others: nothing.

    wake_ms: when time alone may change it; 0: never.
    """

    grants: tuple[Grant, ...]
    wake_ms: int = 0


class AllotPolicy(Protocol):
    """Settles for all jobs at once who should hold what. In place of the order and the growth."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...

    def allot(
        self, cluster: Cluster, fuel: Fuel, without: frozenset[JobId] = frozenset()
    ) -> Allotment:
        """The allotment as the cluster is now, as if the jobs `without` were not there.

        Whoever was given what it says must be granted the same again at the same moment, or
        deciding again would move somebody. Jobs of higher priority come first.
        """
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator may set of the engine around the policies.

    promises: how many of the most entitled blocked jobs own a planned start (0: no backfill guard).
    moves: at most so many jobs are moved at a time to let waiting ones start earlier (0: none).
    move_budget_gpu_ms: what moves may cost in a day, lost work and restarts together.
    """

    promises: int = 8
    moves: int = 0
    move_budget_gpu_ms: int = 10 * 3_600_000


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy per seam, chosen by name (see aimass.policies.registry), and the options."""

    order: OrderPolicy
    place: PlacePolicy
    victims: VictimPolicy
    resize: ResizePolicy
    options: Options = Options()
    ranked: RankedOrder | None = None  # the order once more, if it preempts by itself
    allot: AllotPolicy | None = None
    tag: str = field(init=False, compare=False)  # names, versions, options: in every plan

    def __post_init__(self) -> None:
        """Make the tag once: every decision writes it."""
        seams = (self.order, self.place, self.victims, self.resize)
        names = "+".join(f"{seam.name}@{seam.version}" for seam in seams)
        if self.allot is not None:
            names = f"{self.allot.name}@{self.allot.version}+{names}"
        options = self.options
        budget = f" move-budget={options.move_budget_gpu_ms / 3_600_000:g}gpuh"
        moves = f"moves={options.moves}{budget if options.moves else ''}"
        tag = f"{names} promises={options.promises} {moves}"
        object.__setattr__(self, "tag", tag)
