"""A random life in which queues have cells in reserve: only nodes and operators may take one."""

import random
from collections.abc import Iterable
from dataclasses import replace

from aimass.core import events as ev
from aimass.core.queue_problems import queue_problems
from aimass.core.queues import ROOT, Cell
from aimass.core.reserves import cells_of
from tests.core.random_life import Broken, Life, Step
from tests.core.world import one_role

TAKE_CELLS = ("cordon", "silent", "lost", "join", "queue", "pass")  # time ends leases


class ReservedLife(Life):
    """See random_life.Life. Queues have larger quotas, and some jobs want a whole cell."""

    def run(self, steps: Iterable[Step]) -> None:
        """Do the steps; no reserve loses a cell by a job, nor by a decision."""
        for kind, number in steps:
            before = self._missing()
            super().run([(kind, number)])
            after = self._missing()
            if kind not in TAKE_CELLS and after > before:
                raise Broken("reserve", f"{kind}: {before} GPUs in cells were missing, now {after}")

    def _missing(self) -> int:
        """GPUs of cells that are not there; which cells that are is a choice where some are not."""
        cells = cells_of(self.world.cluster)
        if cells is None:
            return 0
        cells.refresh()
        missing = cells.assign().missing
        shapes = [(reserve.cell.gpus, reserve.cell.shards) for reserve in cells.reserves]
        return sum(n * gpus * shards for n, (gpus, shards) in zip(missing, shapes, strict=True))

    def _put_queue(self, name: str, draw: random.Random) -> None:
        super()._put_queue(name, draw)
        cluster = self.world.cluster
        if not cluster.levels:
            self.world.do(ev.LevelsPut, levels=("rack",))
        spec = cluster.queues[name].spec
        if draw.random() < 0.7:
            spec = replace(spec, quota={"gpu": 1000 * sum(self.sizes) // 2}, lend_limit={})
        cell = Cell(draw.choice((1, 2, 4, 4, 8)), "H100", draw.choice((1, 1, 2)))
        if draw.random() < 0.3:
            cell = replace(cell, count=1, shards=2, level="rack")
        spec = replace(spec, limit={}, reserve=(cell,))
        if not list(queue_problems(cluster, spec)):
            self.world.do(ev.QueuePut, spec=spec, by="ann")

    def _submit(self, draw: random.Random) -> None:
        reserves = self.world.cluster.queues[ROOT].tree.reserved
        if not reserves or draw.random() < 0.6:
            super()._submit(draw)
            return
        queue, cell, _ = draw.choice(reserves)
        self.world.submit(
            one_role(cell.shards, gpus=cell.gpus),
            queue=queue,
            preemptible=draw.random() < 0.5,
            expected_ms=draw.choice((0, 600_000)),
        )
