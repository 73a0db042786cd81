"""The rigid and the elastic policy of the Pollux artifact (OSDI 2021), to the letter, as allotters.

Each decides once a round for all jobs at once: `tiresias` is 2D-LAS with one limit, for jobs that
want as many GPUs as they asked for; `optimus` gives one GPU after another to whose remaining work
it shortens most, by the true tables. Who keeps its number of GPUs keeps its places; the others take
from the node with the most that are free. What they decide goes through decide() and check().
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush, heapreplace

from aimass.core.cluster import Cluster
from aimass.core.draft import Draft
from aimass.core.model import HoldKey, Job, JobId, Placement, placement_of
from aimass.core.policy import Allotment, Fuel, Grant, Placed, Want
from aimass.policies.devices import choose_devices, free_devices
from aimass.simulator.perf_pollux import App, packed
from aimass.simulator.work_rounds import RoundWork

LIMIT_GPU_S = 57_600  # GPU time after which `tiresias` takes a job for a long one

Works = Mapping[JobId, RoundWork]


class PolluxRounds(ABC):
    """What the two have in common; also the placer that puts jobs where they were decided to go."""

    version = 1

    def __init__(self, name: str, works: Works) -> None:
        """works: what each job does, by which `optimus` sees how fast it would be."""
        self.name = name
        self._works = works
        self._at_ms = -1
        self._allotment = Allotment(())
        self._chosen: dict[JobId, list[tuple[int, int]]] = {}

    @abstractmethod
    def _sizes(self, cluster: Cluster, jobs: list[Job]) -> list[tuple[Job, int]]:
        """GPUs of every job that gets some, in the order of placing; jobs: by submission."""

    def unmet(self, cluster: Cluster) -> list[JobId]:
        """Who does not hold what this round gives it, which may be nothing. O(jobs)."""
        self._look(cluster)
        gives = {grant.job_id: grant.want.sizes[0] for grant in self._allotment.grants}
        has = {job.id: len(job.current.placements) for job in cluster.active.values()}
        return [i for i in {**gives, **has} if gives.get(i) != has.get(i)]

    def allot(
        self, cluster: Cluster, fuel: Fuel, without: frozenset[JobId] = frozenset()
    ) -> Allotment:
        """See AllotPolicy; the same at all times of one round."""
        self._look(cluster)
        return self._allotment

    def _look(self, cluster: Cluster) -> None:
        if cluster.now_ms == self._at_ms:
            return
        self._at_ms = cluster.now_ms
        there = dict.fromkeys([*cluster.active, *cluster.waiting.ids()])
        jobs = [cluster.jobs[job_id] for job_id in there]
        jobs.sort(key=lambda job: job.submit_seq)
        sizes = self._sizes(cluster, jobs)
        self._choose(cluster, sizes)
        self._allotment = Allotment(
            tuple(
                Grant(job.id, Want((gpus,)), f"{self.name} gives it {gpus} GPUs in this round")
                for job, gpus in sizes
            )
        )

    def _choose(self, cluster: Cluster, sizes: list[tuple[Job, int]]) -> None:
        """Nodes, by index, for whoever gets another number than it has."""
        nodes = list(cluster.nodes.values())
        index = {node.id: at for at, node in enumerate(nodes)}
        free = [len(node.devices) for node in nodes]
        fresh = []
        for job, gpus in sizes:
            places = job.current.placements if job.state.is_active else ()
            if len(places) != gpus:
                fresh.append((job.id, gpus))
                continue
            for place in places:
                free[index[place.node_id]] -= 1
        emptiest = [(-gpus, at) for at, gpus in enumerate(free)]
        heapify(emptiest)
        self._chosen = {job_id: _take(emptiest, gpus) for job_id, gpus in fresh}

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        """See PlacePolicy: each GPU is a shard, on the nodes chosen for it, on any device."""
        fuel.burn(1)
        nodes, need = list(draft.cluster.nodes.values()), job.spec.roles[0].need
        chosen = [(nodes[at], gpus) for at, gpus in self._chosen[job.id]]
        soon = draft.is_soon
        if any(free_devices(node, need, soon).bit_count() < gpus for node, gpus in chosen):
            return None
        placed: list[Placement] = []
        for node, gpus in chosen:
            for devices in choose_devices(node, need, gpus, soon):
                place = placement_of(node, 0, devices, need, job.spec.exclusive_node)
                draft.place(job, HoldKey(job.id, job.attempt + 1, len(placed)), place)
                placed.append(place)
        return Placed(tuple(placed), f"on the emptiest {len(chosen)} nodes")


def _take(emptiest: list[tuple[int, int]], gpus: int) -> list[tuple[int, int]]:
    """(node, GPUs) until there are enough, each time of the node with most, of equals the first."""
    taken = []
    while gpus:
        free, at = emptiest[0]
        some = min(gpus, -free)
        assert some, "more is given than there is"
        heapreplace(emptiest, (free + some, at))
        taken.append((at, some))
        gpus -= some
    return taken


class TiresiasRounds(PolluxRounds):
    """Two queues: who has had more than the limit comes behind all others; in each, as they came.

    Who does not fit lets others pass, and whoever is passed by loses its places.
    """

    def __init__(self, works: Works) -> None:
        super().__init__("pollux-tiresias", works)
        self._queues: tuple[list[JobId], list[JobId]] = ([], [])
        self._had_gpu_ms: dict[JobId, int] = {}
        self._last_ms = 0

    def _sizes(self, cluster: Cluster, jobs: list[Job]) -> list[tuple[Job, int]]:
        elapsed_ms, self._last_ms = cluster.now_ms - self._last_ms, cluster.now_ms
        by_id = {job.id: job for job in jobs}
        first, second = self._queues
        for queue in self._queues:
            queue[:] = [job_id for job_id in queue if job_id in by_id]
        for job in jobs:
            if job.id not in self._had_gpu_ms:
                first.append(job.id)
                self._had_gpu_ms[job.id] = 0
            elif job.state.is_active:
                before = self._had_gpu_ms[job.id]
                had = self._had_gpu_ms[job.id] = before + elapsed_ms * _asked(job)
                if before < LIMIT_GPU_S * 1000 <= had:
                    first.remove(job.id)
                    second.append(job.id)
        free = sum(len(node.devices) for node in cluster.nodes.values())
        sizes = []
        for job_id in (*first, *second):
            gpus = _asked(by_id[job_id])
            if gpus <= free:
                free -= gpus
                sizes.append((by_id[job_id], gpus))
        return sizes


def _asked(job: Job) -> int:
    return job.spec.roles[0].shards


class OptimusRounds(PolluxRounds):
    """One GPU for each job, as they came; then each to whose remaining time it shortens most."""

    def __init__(self, works: Works) -> None:
        super().__init__("pollux-optimus", works)
        self._steps_s: dict[tuple[str, int, int], float] = {}
        self._of_node = 0

    def _sizes(self, cluster: Cluster, jobs: list[Job]) -> list[tuple[Job, int]]:
        gpus_of = [len(node.devices) for node in cluster.nodes.values()]
        free, self._of_node = sum(gpus_of), max(gpus_of)
        sizes: list[int] = []
        gains: list[tuple[float, int]] = []
        left = []
        for at, job in enumerate(jobs[:free]):
            free -= 1
            sizes.append(1)
            left.append(self._iterations_left(cluster, job))
            if free and (gain := self._gain(job, 1, left[at])) > 0:
                gains.append((-gain, at))
        heapify(gains)
        while free and gains:
            _, at = heappop(gains)
            free -= 1
            sizes[at] += 1
            gain = self._gain(jobs[at], sizes[at], left[at])
            if gain > 0:
                heappush(gains, (-gain, at))
        return sorted(zip(jobs, sizes, strict=False), key=lambda pair: pair[1])

    def _iterations_left(self, cluster: Cluster, job: Job) -> float:
        """Of the batch that it asked for, until its last epoch is over; 1 in that."""
        work = self._works[job.id]
        ran_ms = cluster.now_ms - job.current.running_ms if job.state.is_active else 0
        app, epoch, last = work.app, work.epoch_at(ran_ms), work.app.epochs - 1
        if epoch >= last:
            return 1.0
        before = app.validation(work.batch, epoch).iteration
        return app.validation(work.batch, last).iteration - before

    def _gain(self, job: Job, gpus: int, iterations: float) -> float:
        """What one GPU more takes off the remaining time, in seconds; 0: it takes no more."""
        work = self._works[job.id]
        if gpus >= work.gpus_max:
            return 0.0
        step_s = self._step_s(work.app, work.batch, gpus)
        return (step_s - self._step_s(work.app, work.batch, gpus + 1)) * iterations

    def _step_s(self, app: App, batch: int, gpus: int) -> float:
        """Packed; one GPU alone always gathers at least two batches, as the reference has it."""
        key = (app.name, batch, gpus)
        if key not in self._steps_s:
            batches = app.split(batch, gpus, gathered_min=int(gpus == 1))
            self._steps_s[key] = app.step_s(packed(gpus, self._of_node), batches)
        return self._steps_s[key]


ROUNDS: dict[str, Callable[[Works], PolluxRounds]] = {
    "pollux-tiresias": TiresiasRounds,
    "pollux-optimus": OptimusRounds,
}
