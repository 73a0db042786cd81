"""How fast a job is where: as its user declares it, and as its program measures it.

What nobody says is not known here; what to suppose then is a policy's own business.
"""

from dataclasses import dataclass
from functools import lru_cache

NORMAL_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class SpeedOn:
    """The speed of a whole gang in one setting, in millionths of its normal speed.

    gpu_type: empty: any model. gpus: of the gang; 0: any number. nodes: on at most so many; 0: on
    any number. The normal speed is the one for which a run time is given. 0: it cannot run there.
    """

    gpu_type: str
    gpus: int
    nodes: int
    speed_micro: int


Speeds = tuple[SpeedOn, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What an active or waiting job has told of itself, and where it ran.

    left_ms: the work left at normal speed when that was told, -1: it did not say. speeds: measured;
    they replace what was declared. ran_on: (GPU model, ms) of its ended attempts.
    """

    left_ms: int = -1
    at_ms: int = 0
    speeds: Speeds = ()
    ran_on: tuple[tuple[str, int], ...] = ()


UNTOLD = Told()


@lru_cache(maxsize=65_536)
def speed_on(speeds: Speeds, gpu_type: str, gpus: int, nodes: int) -> int | None:
    """The speed in exactly this setting, in millionths; None: nobody says. O(speeds).

    Of several entries that fit the most exact one counts: first by model, then number, then nodes.
    """
    best, found = (-1, -1, 0), None
    for entry in speeds:
        if entry.gpu_type not in ("", gpu_type) or entry.gpus not in (0, gpus):
            continue
        if entry.nodes and nodes > entry.nodes:
            continue
        rank = (bool(entry.gpu_type), bool(entry.gpus), -entry.nodes if entry.nodes else -(10**9))
        if found is None or rank > best:
            best, found = rank, entry.speed_micro
    return found
