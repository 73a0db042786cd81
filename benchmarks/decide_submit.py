"""One new job of one GPU on a busy cluster: processor time of apply, decide and check together.

`decide_submit`: 1,024 nodes of 8 GPUs, 10,000 jobs pending (2 to 32 GPUs). A third of the samples
each: every GPU is held and others of its kind wait already (`_waits`), or it is the first of its
kind (`_fresh`), or one of many free GPUs is for it (`_starts`).

`scale`: the same median on 1,000 to 100,000 nodes, and with 1,000 to 100,000 pending; the clusters
are asked in turn, so that the machine's mood is the same for all. `_growth_X`: the median at X over
that at a tenth of X.
"""

import gc
from statistics import median

from aimass.core.model import JobState
from benchmarks.busy import RUNNING, Busy, Shapes
from benchmarks.record import Record, of_rounds, percentiles

ROUNDS = 5
SAMPLES = 200  # of each sort in a round
PROMISED = 32  # nodes that may be promised to waiting gangs, with the GPU that is free on them
NODES = 1_024
PENDING = 10_000
LARGE: Shapes = ((2, 1), (4, 1), (8, 1), (8, 2), (8, 4))  # no single GPU is of use to these
SORTS = ("waits", "fresh", "starts")
SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
SCALE_ROUNDS = 3
SCALE_SAMPLES = 60
MOST_WHOLE: Shapes = (*(((8, 1),) * 6), *(((7, 1), (1, 1)) * 2))  # 10 jobs on 8 nodes


def run(scale: float) -> list[Record]:
    """`decide_submit_p50` and `_p99` of all samples, and of each sort."""
    nodes, pending = max(64, round(NODES * scale)), max(50, round(PENDING * scale))
    samples = max(3, round(SAMPLES * scale))
    by_sort: dict[str, list[list[float]]] = {sort: [] for sort in SORTS}
    for _ in range(ROUNDS):
        world = _Waiting(nodes, pending, samples, RUNNING)
        gc.collect()
        gc.freeze()
        for sort in SORTS:
            by_sort[sort].append([world.sample(sort) for _ in range(samples)])
        gc.unfreeze()
    everything = [[ms for each in by_sort.values() for ms in each[i]] for i in range(ROUNDS)]
    records = percentiles("decide_submit", "ms", everything)
    for sort, rounds in by_sort.items():
        records += percentiles(f"decide_submit_{sort}", "ms", rounds)
    return records


def run_scale(scale: float) -> list[Record]:
    """`scale_nodes_X` and `scale_pending_X`, ms, and how they grow from decade to decade."""
    samples = max(3, round(SCALE_SAMPLES * scale))

    def world(nodes: int, pending: int) -> _Waiting:
        nodes, pending = max(256, round(nodes * scale)), max(50, round(pending * scale))
        return _Waiting(nodes, pending, samples * SCALE_ROUNDS, MOST_WHOLE)

    worlds = {f"scale_nodes_{name}": world(nodes, PENDING) for name, nodes in SIZES.items()}
    for name, pending in SIZES.items():
        worlds[f"scale_pending_{name}"] = world(NODES, pending)
    gc.collect()
    gc.freeze()
    spent: dict[str, list[list[float]]] = {
        name: [[] for _ in range(SCALE_ROUNDS)] for name in worlds
    }
    for sort in SORTS:
        for i in range(SCALE_ROUNDS):
            for _ in range(samples):
                for name, each in worlds.items():
                    spent[name][i].append(each.sample(sort))
    gc.unfreeze()
    rounds = {name: [median(times) for times in each] for name, each in spent.items()}
    count = SCALE_ROUNDS * samples * len(SORTS)
    records = [of_rounds(name, "ms", each, count) for name, each in rounds.items()]
    for what in ("nodes", "pending"):
        for less, more in (("1k", "10k"), ("10k", "100k")):
            pairs = zip(rounds[f"scale_{what}_{more}"], rounds[f"scale_{what}_{less}"], strict=True)
            ratios = [large / small for large, small in pairs]
            records.append(of_rounds(f"scale_{what}_growth_{more}", "x", ratios, count))
    return records


class _Waiting:
    """A busy cluster, made ready for one sort of sample after the other."""

    def __init__(self, nodes: int, pending: int, samples: int, shapes: Shapes) -> None:
        self.busy = Busy(nodes)
        self.busy.fill(shapes)
        self.busy.queue_up(pending, LARGE)
        self.busy.settle()
        self.kinds = 0
        self.free = samples + PROMISED
        self.sort = ""

    def sample(self, sort: str) -> float:
        """Milliseconds of one submission of this sort; all of one come before the next."""
        busy = self.busy
        if sort != self.sort:
            self.sort = sort
            self._prepare(sort)
        cpu_milli = 2000
        if sort == "fresh":
            self.kinds += 1
            cpu_milli += self.kinds
        ms, plan = busy.decide_ms(busy.submission(busy.spec(1, cpu_milli=cpu_milli)))
        assert bool(plan.starts) == (sort == "starts"), f"{sort}: {len(plan.starts)} starts"
        busy.commit(plan)
        return ms

    def _prepare(self, sort: str) -> None:
        """Singles that wait give up; some that run end; `waits`: singles come until one does."""
        busy, cluster = self.busy, self.busy.cluster
        for job_id in cluster.waiting.ids():
            if cluster.jobs[job_id].spec.gpu_milli == 1000:
                busy.cancel(job_id)
        if sort == "starts":
            busy.free_singles(self.free)
        busy.settle()
        while sort == "waits":
            job = busy.submit(busy.spec(1))
            busy.settle()
            if job.state is JobState.QUEUED:
                return
