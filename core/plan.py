"""What a decision is: a flat value that leaves no choice to whoever carries it out."""

from dataclasses import dataclass

from aimass.core.model import JobId, Placement, StopRule


@dataclass(frozen=True, slots=True)
class Start:
    """Start this attempt of the whole gang here, now; placements[rank] is where `rank` goes.

    trail: how it was weighed: score terms, the alternatives examined.
    """

    job_id: JobId
    attempt: int
    placements: tuple[Placement, ...]
    reason: str
    trail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the job's current attempt for another's sake; see model.Receipt for the fields.

    Of a move also: what the restart costs it, and what the other gains by all who move for it.
    """

    job_id: JobId
    attempt: int
    rule: StopRule
    by: JobId
    reason: str
    lost_gpu_ms: int = 0
    restart_gpu_ms: int = 0
    gain_gpu_ms: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """The job's next attempt owns these places from now on, and starts when all are free.

    victims: the jobs that leave for it (also stopped in this plan); empty when they were leaving.
    Of an active job it is a resize or a move: the job itself is among the victims.
    """

    job_id: JobId
    attempt: int
    placements: tuple[Placement, ...]
    reason: str
    victims: tuple[JobId, ...] = ()
    trail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A promise to a blocked job: it can start here at start_ms, whatever is backfilled until then.

    end_ms: when it should have ended. is_known: False when it rests on run times nobody gave.
    """

    job_id: JobId
    start_ms: int
    end_ms: int
    placements: tuple[Placement, ...]
    is_known: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Every queued job of one group stays queued.

    code, text: what turned it away when that was not the nodes themselves (quota, a promise to
    another); empty: survey.wait_reason says which nodes refuse and why, when asked.
    """

    group: tuple[object, ...]  # see cluster.Group.key
    first: JobId
    code: str = ""
    text: str = ""
    is_personal: bool = False  # others of the group may fare better
    is_cut_short: bool = False  # the search budget ended before it was tried


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions on the cluster at revision `basis`, made by `policy` (name, version, options).

    Applied in this order: unclaims, stops, claims, starts; then `planned` replaces the promises of
    the jobs named in it and `unplanned` ends others. wake_ms: time alone may change the decision
    then (0: never).
    """

    basis: int
    policy: str
    starts: tuple[Start, ...] = ()
    stops: tuple[Stop, ...] = ()
    claims: tuple[Claim, ...] = ()
    unclaims: tuple[JobId, ...] = ()  # claims that can no longer be kept
    planned: tuple[Planned, ...] = ()
    unplanned: tuple[JobId, ...] = ()
    waits: tuple[Wait, ...] = ()
    wake_ms: int = 0
    fuel_left: int = 0

    @property
    def is_still(self) -> bool:
        """True when nobody starts, stops, or gets or loses a claim; promises may get better."""
        return not (self.starts or self.stops or self.claims or self.unclaims)

    @property
    def is_empty(self) -> bool:
        """True when it changes nothing."""
        return self.is_still and not self.planned and not self.unplanned
