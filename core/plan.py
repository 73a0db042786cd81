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
    """Why every queued job of one shape stays queued, from the code that turned the first away."""

    shape: tuple[object, ...]  # see cluster.ShapeKey
    first: JobId
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions on the cluster at revision `basis`, made by `policy` (name, version, options)."""

    basis: int
    policy: str
    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
    fuel_left: int = 0
