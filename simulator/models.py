"""How a simulated job behaves: the small models that the world is made of. Whole milliseconds.

All costs are nothing by default, as in the published simulators. What they are on real machines
depends on the model that is trained: the Sia paper (SOSP 2023) measured restarts of 25 to 250 s,
the Pollux artifact (OSDI 2021) takes 30 s for every job.
"""

from dataclasses import dataclass

from aimass.core.speeds import NORMAL_MICRO


@dataclass(frozen=True, slots=True)
class Costs:
    """What starting and stopping takes, in ms.

    start_ms: from the order to start until the program runs. restart_ms: what every attempt but
    the first needs besides, before it goes on with its work. checkpoint_ms: how often a running job
    saves its work; 0: whenever it is stopped, so that nothing is lost. stop_ms: from the order to
    stop until the places are free; no work is done meanwhile.
    """

    start_ms: int = 0
    restart_ms: int = 0
    checkpoint_ms: int = 0
    stop_ms: int = 0


def run_ms(work_ms: int, speed_micro: int) -> int:
    """How long so much work takes; rounded up."""
    return -(-work_ms * NORMAL_MICRO // speed_micro)


def work_done_ms(elapsed_ms: int, speed_micro: int) -> int:
    """How much work is done in that time; rounded down."""
    return elapsed_ms * speed_micro // NORMAL_MICRO


def kept_ms(elapsed_ms: int, costs: Costs) -> int:
    """Of the time that an attempt has worked, what its checkpoints hold when it is stopped."""
    if not costs.checkpoint_ms:
        return elapsed_ms
    return elapsed_ms - elapsed_ms % costs.checkpoint_ms
