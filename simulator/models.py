"""How a simulated job behaves: the small models that the world is made of. Whole milliseconds.

All costs are nothing by default, as in the published simulators. What they are on real machines
depends on the model that is trained: the Sia paper (SOSP 2023) measured restarts of 25 to 250 s,
the Pollux artifact (OSDI 2021) takes 30 s for every job.
"""

from dataclasses import dataclass


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
