"""All prices of `mass` for one mix and one set of nodes; those of places move with what is free."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from aimass.core.shapes import Shape
from aimass.policies.pack_jit import jit
from aimass.policies.pack_live import (
    GANG_BITS,
    MICRO,
    PRICE_LEVELS,
    Live,
    appetites_of,
    expected_gangs,
    kind_prices,
    kinds_of,
    needs_of,
)
from aimass.policies.pack_room import free_milli, whole_devices
from aimass.policies.pack_state import GPU_MILLI, Array, Books, Models, Nodes

FIT_MILLI = 100  # for the room of an idle node of 8 GPUs and the most CPU there is
_NONE: Array = np.zeros(0, np.int64)
NO_PRICES = Live(0, 0, 1, 0, _NONE, _NONE.reshape(0, 1), _NONE.reshape(0, 4), _NONE.reshape(0, 2))
TERMS = ("fragments", "room", "stranded", "kind", "gangs")  # of the score


class Places(NamedTuple):
    """How many places for gangs there are, kept up to date node by node."""

    of_node: Array  # places for each need, [nodes, needs]
    free_of_node: Array  # milli-GPU, [nodes]
    totals: Array  # places for each need, then the free milli-GPU of all nodes, [needs + 1]


def prices(
    classes: Mapping[Shape, int],
    lasting: Mapping[Shape, int],
    terms: tuple[str, ...],
    models: Models,
    nodes: Nodes,
    books: Books,
) -> tuple[Live, Places]:
    """Make the prices of a mix, and count the places. O(classes * log classes + nodes * needs).

    classes, lasting: see `Demand`; what is held for long counts for kinds of nodes and for gangs.
    """
    has = {term: int(term in terms) for term in TERMS}
    is_gangs = bool(has["gangs"])
    needs, expected = expected_gangs(
        lasting,
        needs_of(lasting, models) if is_gangs else (),
        kinds_of(books) if is_gangs else (),
    )
    live = Live(
        gradient=has["fragments"],
        fit=has["room"] * FIT_MILLI * MICRO,
        cpu_scale=max(1, int(books.cpu_size.max())),
        feeding=has["stranded"],
        appetites=appetites_of(classes),
        kind_price=has["kind"] * kind_prices(classes, lasting, books, nodes.model, models),
        needs=needs,
        expected=expected,
    )
    room = len(nodes.model)
    places = Places(
        np.zeros((room, len(needs)), np.int32),
        np.zeros(room, np.int64),
        np.zeros(len(needs) + 1, np.int64),
    )
    reprice(nodes, live, places, np.arange(room))
    return live, places


@jit
def place_price(gpus: int, gangs: int, places: int) -> int:
    """Give the price of a place for gangs of so many devices, in micro-GPU; 0 where many are left.

    gangs: expected to need such a place, in 2**-30. All its devices where there are not more
    places, else halved for each doubling of the places.
    """
    for halvings in range(PRICE_LEVELS):
        if gangs << halvings >= places << GANG_BITS:
            return MICRO * GPU_MILLI * gpus >> halvings
    return 0


@jit
def reprice(nodes: Nodes, live: Live, places: Places, touched: Array) -> bool:
    """Count the places of touched nodes again, and price all; say whether a price changed.

    O(touched * needs). The result depends on the nodes only, not on when it was asked for.
    """
    needs, totals = live.needs, places.totals
    count = needs.shape[0]
    for node in touched:
        free, whole = 0, 0
        if nodes.is_there[node] == 1:
            free, whole = free_milli(nodes, node), whole_devices(nodes, node)
        totals[count] += free - places.free_of_node[node]
        places.free_of_node[node] = free
        for at in range(count):
            found = 0
            if whole >= needs[at, 0] and (needs[at, 2] >> nodes.model[node]) & 1 == 1:
                found = min(whole // needs[at, 0], nodes.cpu_free[node] // needs[at, 1])
            totals[at] += found - places.of_node[node, at]
            places.of_node[node, at] = found
    is_changed = False
    for at in range(count):
        gangs = live.expected[at, 0] * totals[count] + live.expected[at, 1]
        price = place_price(needs[at, 0], gangs, totals[at])
        if price != needs[at, 3]:
            needs[at, 3] = price
            is_changed = True
    return is_changed
