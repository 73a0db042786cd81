"""Policies by name: what `massd --order` and `--place` accept.

To add one: write its file, add a line here, add a scenario. Nothing else knows the names.
"""

from collections.abc import Callable
from functools import partial

from aimass.core.policy import AllotPolicy, Options, OrderPolicy, PlacePolicy, Policy, RankedOrder
from aimass.core.spec import Strategy
from aimass.policies.gang import ChooseNodes, GangPlacer
from aimass.policies.gavel_allot import GAVEL, GavelAllot
from aimass.policies.order_fair import FairOrder
from aimass.policies.order_fifo import FifoOrder, PassingFifo
from aimass.policies.order_las import LasOrder
from aimass.policies.order_priority import PriorityOrder
from aimass.policies.order_srtf import SrtfOrder
from aimass.policies.place_best_fit import pack_nodes
from aimass.policies.place_spread import spread_nodes
from aimass.policies.resize_gain import GrowForGain
from aimass.policies.victims_lost_work import LeastLostWork

# A job may say how it wants to lie; the cluster's policy is for those that do not.
BY_STRATEGY: dict[Strategy, ChooseNodes] = {
    Strategy.PACK: pack_nodes,
    Strategy.SPREAD: spread_nodes,
}


def _mass() -> PlacePolicy:
    """Load NumPy, and numba where it is installed, for who wants them. Raises ImportError."""
    from aimass.policies.place_mass import score_nodes

    return GangPlacer("mass", 2, score_nodes, {**BY_STRATEGY, Strategy.PACK: score_nodes})


ORDERS: dict[str, Callable[[], OrderPolicy]] = {
    "fair": FairOrder,
    "priority": PriorityOrder,
    "fifo": FifoOrder,
    "fifo-skip": lambda: PassingFifo("fifo-skip"),
    "fifo-backfill": lambda: PassingFifo("fifo-backfill"),
}
RANKED: dict[str, Callable[[], RankedOrder]] = {  # these preempt by themselves
    "srtf": SrtfOrder,
    "srtf-gpu": lambda: SrtfOrder("srtf-gpu", times_gpus=True),
    "las": LasOrder,
}
ORDERS |= RANKED


def _optimus() -> AllotPolicy:
    from aimass.policies.optimus import Optimus

    return Optimus()


def _elasticflow() -> AllotPolicy:
    from aimass.policies.elasticflow import ElasticFlow

    return ElasticFlow()


def _sia() -> AllotPolicy:
    from aimass.policies.sia_allot import Sia

    return Sia()


def _mass_allot() -> AllotPolicy:
    from aimass.policies.mass_allot import Mass

    return Mass()


# These settle for all jobs at once who holds what; the order only says who was there first.
ALLOTTERS: dict[str, Callable[[], AllotPolicy]] = {
    "optimus": _optimus,
    "elasticflow": _elasticflow,
    "sia": _sia,
    "mass": _mass_allot,
    **{name: partial(GavelAllot, name) for name in GAVEL},
}
# Whatever the options say: where the policy preempts, who fills a gap is stopped in time.
PROMISE_NOBODY = {"fifo-skip", *RANKED, *ALLOTTERS}
PLACERS: dict[str, Callable[[], PlacePolicy]] = {
    "best-fit": lambda: GangPlacer("best-fit", 3, pack_nodes, BY_STRATEGY),
    "mass": _mass,
    "spread": lambda: GangPlacer("spread", 2, spread_nodes, BY_STRATEGY),
}


def make_policy(
    order: str = "fair",
    place: str = "best-fit",
    promises: int = 8,
    moves: int = 0,
    move_budget_gpu_ms: int = Options().move_budget_gpu_ms,
) -> Policy:
    """The policy of these names; order: of ORDERS or ALLOTTERS.

    Raises KeyError for a name that is not in the tables above, ImportError where one lacks an
    extra.
    """
    promises = 0 if order in PROMISE_NOBODY else promises
    options = Options(promises, moves, move_budget_gpu_ms)
    ranked = RANKED[order]() if order in RANKED else None
    allot = ALLOTTERS[order]() if order in ALLOTTERS else None
    return Policy(
        PassingFifo(order) if allot is not None else ranked or ORDERS[order](),
        PLACERS[place](),
        LeastLostWork(),
        GrowForGain(),
        options,
        ranked,
        allot,
    )
