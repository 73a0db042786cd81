"""What a decision is: a flat value that leaves no choice to whoever carries it out."""

from dataclasses import dataclass

from aimass.core.model import JobId, Placement


@dataclass(frozen=True, slots=True)
class Start:
    """Start this attempt of the whole gang here; placements[rank] is where shard `rank` goes."""

    job_id: JobId
    attempt: int
    placements: tuple[Placement, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Every queued job of one shape stays queued; survey.wait_reason says why when asked."""

    shape: tuple[object, ...]  # see cluster.ShapeKey
    first: JobId
    is_cut_short: bool  # the search budget ended before this shape was tried


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions on the cluster at revision `basis`, made by `policy` (name, version, options)."""

    basis: int
    policy: str
    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
    fuel_left: int = 0
