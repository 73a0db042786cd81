"""How a simulated job behaves: the small models that the world is made of. Whole milliseconds.

All of them do nothing by default, as in the published simulators. MEASURED has what was seen
somewhere, each with its source; what is right elsewhere depends on the model that is trained and on
the machines.
"""

from dataclasses import dataclass, field, replace

from aimass.core.model import NodeId
from aimass.core.speeds import NORMAL_MICRO
from aimass.simulator.clusters import Kinds
from aimass.simulator.faults import LLAMA3, NO_FAULTS, Faults


@dataclass(frozen=True, slots=True)
class Costs:
    """What starting and stopping takes, in ms.

    start_ms: from the order to start until the program runs. restart_ms: what every attempt but
    the first needs besides, before it goes on with its work. checkpoint_ms: how often a running job
    saves its work; 0: whenever it is told to stop, so that only failures lose any. stop_ms: from
    the order to stop until the places are free; no work is done meanwhile. pull_ms: what a start
    needs besides on a node that does not have the job's image and data yet. resize_every_ms: an
    elastic job changes its size at most so often.
    """

    start_ms: int = 0
    restart_ms: int = 0
    checkpoint_ms: int = 0
    stop_ms: int = 0
    pull_ms: int = 0
    resize_every_ms: int = 600_000


@dataclass(frozen=True, slots=True)
class Paces:
    """How fast a gang is where it lies, in millionths of what its work says; 1000000: as that says.

    nodes_micro: on several nodes, racks_micro: besides when these are in several racks; only for
    jobs whose speeds do not tell nodes apart. beside_micro: with others on one of its GPUs.
    """

    nodes_micro: int = NORMAL_MICRO
    racks_micro: int = NORMAL_MICRO
    beside_micro: int = NORMAL_MICRO


@dataclass(frozen=True, slots=True)
class Change:
    """What is planned for the cluster at_ms after the first submission.

    add: nodes that join. remove: nodes that leave for good; what runs there is stopped. drain:
    nodes that are emptied for drain_ms. notice_ms: so long before that the scheduler is told, and
    starts nothing there that would not be over; 0: it is not.
    """

    at_ms: int
    add: Kinds = ()
    remove: tuple[NodeId, ...] = ()
    drain: tuple[NodeId, ...] = ()
    drain_ms: int = 0
    notice_ms: int = 0


@dataclass(frozen=True, slots=True)
class Models:
    """What the world does beside what Costs say. levels: of the topology, from the widest."""

    levels: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    faults: Faults = NO_FAULTS
    paces: Paces = field(default_factory=Paces)


COSTS = ("start_ms", "restart_ms", "checkpoint_ms", "stop_ms", "pull_ms")
PLAIN = Models()
EVEN = Paces()

# Gavel's measured table (OSDI 2020): 57 settings of 2, 4 and 8 V100 run at a median of 0.42 of
# their speed when they are not on one machine. 636 pairs on one V100 run at a median of 0.68 each,
# more than half: a share of a GPU loses nothing by its neighbours. Nobody measured racks.
MEASURED_PACES = Paces(nodes_micro=425_000)
# Pollux (OSDI 2021): 30 s for every restart; Sia (SOSP 2023) measured 25 to 250 s. A checkpoint
# every half an hour, 10 s to start, stop and a minute to pull are assumptions.
MEASURED_COSTS = Costs(10_000, 30_000, 1_800_000, 10_000, 60_000)


def measured(costs: Costs, models: Models) -> tuple[Costs, Models]:
    """What was measured somewhere, in place of all that is still nothing."""
    asked = {name: getattr(costs, name) for name in COSTS}
    given = {name: found for name, found in asked.items() if found}
    paces = MEASURED_PACES if models.paces == EVEN else models.paces
    faults = LLAMA3 if models.faults == NO_FAULTS else models.faults
    spread = replace(models, paces=paces, faults=faults)
    return replace(MEASURED_COSTS, resize_every_ms=costs.resize_every_ms, **given), spread


def kinds_ever(kinds: Kinds, models: Models) -> Kinds:
    """The nodes of the beginning and those that join later, in the order of their names."""
    changes = sorted(models.changes, key=lambda change: change.at_ms)
    return (*kinds, *(kind for change in changes for kind in change.add))
