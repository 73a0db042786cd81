"""The seams of a policy: who is next, and where does it go. Each is replaceable on its own.

A policy reads the cluster and tries on a Draft; it never writes. What it returns is proved again by
check(), so a wrong policy can waste capacity but not break the cluster. See docs/decisions/0005 for
the two seams that come with preemption (victims) and elastic sizes (resize).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from aimass.core.cluster import Cluster, ShapeKey
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
class Placed:
    """Where a gang goes: placements by rank, and the reason in one line."""

    placements: tuple[Placement, ...]
    reason: str


class OrderPolicy(Protocol):
    """Who deserves capacity next."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def is_strict(self) -> bool: ...  # True: nobody passes a job that cannot start

    def queue(self, cluster: Cluster, blocked: set[ShapeKey]) -> Iterator[tuple[ShapeKey, JobId]]:
        """Yield waiting jobs, most entitled first, leaving out shapes in `blocked` (it grows)."""
        ...


class PlacePolicy(Protocol):
    """Where a gang goes."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...

    def place(self, draft: Draft, job: Job, fuel: Fuel) -> Placed | None:
        """Hold the whole gang in the draft and say where, or return None (the caller undoes)."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy per seam, chosen by name (see aimass.policies.registry)."""

    order: OrderPolicy
    place: PlacePolicy

    @property
    def tag(self) -> str:
        """Names and versions, as written into every plan."""
        return f"{self.order.name}@{self.order.version}+{self.place.name}@{self.place.version}"
