"""How `mass` keeps what it knows up to date: when to look again, and what then costs what."""

from collections.abc import Mapping

import numpy as np

from aimass.policies.pack_live import (
    MICRO,
    Live,
    Need,
    Window,
    appetites_of,
    kinds_of,
    model_prices,
    needs_of,
    place_price,
)
from aimass.policies.pack_room import places
from aimass.policies.pack_shapes import Shape
from aimass.policies.pack_state import ANY_MODEL, Array, Books, Models, Nodes

FIT_MILLI = 100  # for the room of an idle node of 8 GPUs and the most CPU there is
PLACES_PER_GANG = 8  # an expected gang makes an eighth of a place scarce
HALF_LIFE_MIN = 4096  # submissions
HALF_LIFE_PER_NODE = 4  # about half a cluster full of them
FIRST_LOOK = 4  # submissions
MOVED_PERCENT = 10  # of the mix, before prices are made anew
_NONE: Array = np.zeros(0, np.int64)
NO_PRICES = Live(0, 0, 1, 0, _NONE, _NONE, _NONE.reshape(0, 4))
TERMS = ("fragments", "room", "stranded", "model", "gangs")  # of the score


class Learner:
    """The window, the mix that prices are made of, and when they were made."""

    def __init__(self, terms: tuple[str, ...]) -> None:
        self.classes: Mapping[Shape, int] = {}
        self._terms = terms
        self._window = Window(HALF_LIFE_MIN)
        self._look_at = FIRST_LOOK
        self._needs: list[Need] = []
        self._kinds: list[tuple[int, int]] = []

    def learn(self, shape: Shape, nodes: int) -> bool:
        """Count a submission; say whether the mix has moved, so that prices must be made anew.

        It is compared now and then only: at twice as many submissions, later eight times per
        half-life. O(1), and O(classes) when it is.
        """
        self._window.half_life = max(HALF_LIFE_MIN, HALF_LIFE_PER_NODE * nodes)
        self._window.add(shape)
        if self._window.seen < self._look_at:
            return False
        self._look_at += min(self._window.seen, self._window.half_life // 8)
        if not self._window.differs_from(self.classes, MOVED_PERCENT):
            return False
        self.classes = dict(self._window.weights)
        return True

    def prices(self, models: Models, nodes: Nodes, books: Books) -> Live:
        """Make all prices of the present mix. O(classes * log classes + nodes)."""
        gpu_milli = books.gpu_size.sum(axis=1)
        capacity = np.bincount(nodes.model, gpu_milli, len(models.number))
        price = model_prices(self.classes, [int(each) for each in capacity], models)
        if "gangs" in self._terms:
            self._needs, self._kinds = needs_of(self.classes, models), kinds_of(books)
        has = {term: int(term in self._terms) for term in TERMS}
        live = Live(
            gradient=has["fragments"],
            fit=has["room"] * FIT_MILLI * MICRO,
            cpu_scale=max(1, int(books.cpu_size.max())),
            feeding=has["stranded"],
            appetites=appetites_of(self.classes),
            model_price=has["model"] * price,
            needs=NO_PRICES.needs,
        )
        return self.place_prices(live, nodes)

    def place_prices(self, live: Live, nodes: Nodes) -> Live:
        """Give the prices with those of places for gangs made anew. O(nodes * needs).

        Two sorts of gangs are expected: those of the window, as many as would come among the pods
        that take what is free; and, as the window has not seen everything, one that needs a whole
        node of each kind.
        """
        asked = sum(kind.total_milli * weight for kind, weight in self.classes.items())
        free_milli = int(nodes.gpu_free.sum())
        wanted = [
            *((need, need.weight * free_milli, asked * PLACES_PER_GANG) for need in self._needs),
            *((Need(*kind, ANY_MODEL, 0), 1, 1) for kind in self._kinds),
        ]
        rows = []
        for need, gangs, per in wanted:
            ask = need.gpus, need.cpu_milli, need.models
            price = place_price(need.gpus, gangs, per, int(places(nodes, *ask)))
            if price:
                rows.append((*ask, price))
        return live._replace(needs=np.array(rows, np.int64).reshape(-1, 4))
