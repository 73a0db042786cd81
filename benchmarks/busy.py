"""A busy cluster for the decide benchmarks: full of running jobs, with a mixed queue behind them.

Made by the real apply and decide. Sizes, lengths and priorities come from a fixed sequence, so that
every run measures the same cluster.
"""

import time
from dataclasses import dataclass, field, replace

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.decider import Decider
from aimass.core.model import DeviceSpec, Exit, Inventory, Job, JobId, NodeId
from aimass.core.plan import Plan
from aimass.core.policy import Policy
from aimass.core.queues import QueueSpec
from aimass.core.spec import JobSpec, Need, Role
from aimass.policies.registry import make_policy

MINUTE_MS = 60_000
QUEUES = ("research", "product", "students", "ops")
Shapes = tuple[tuple[int, int], ...]
"""(GPUs of a shard, shards) of jobs in turn"""
RUNNING: Shapes = ((1, 1), (2, 1), (4, 1), (8, 1))
WAITING: Shapes = ((1, 1), (2, 1), (4, 1), (8, 1), (8, 2), (8, 4))
USERS = ("ann", "bob", "cho", "dee", "eve")


def draws(seed: int):  # type: ignore[no-untyped-def]
    """A fixed sequence of numbers below 2**31 (Park and Miller's generator)."""
    while True:
        seed = seed * 48_271 % 2_147_483_647
        yield seed


@dataclass
class Busy:
    """The cluster and what drives it; `now_ms` moves on by a second with every event."""

    nodes: int
    policy: Policy = field(default_factory=make_policy)
    cluster: Cluster = field(default_factory=Cluster)

    def __post_init__(self) -> None:
        self.decider = Decider(self.policy)
        self.now_ms = 1_000_000
        self._draws = draws(20_261_121)
        self.do(ev.ClusterCreated(self.now_ms, "busy"))
        self.do(ev.TermStarted(self.now_ms, 1))
        for name in QUEUES:
            self.do(ev.QueuePut(self.now_ms, QueueSpec(name)))
        for number in range(self.nodes):
            self.do(_node(self.now_ms, number))

    def do(self, event: ev.Event) -> None:
        """Apply one event."""
        apply(self.cluster, event)

    def draw(self, below: int) -> int:
        """The next number of the sequence."""
        return int(next(self._draws)) % below

    def spec(self, gpus: int, shards: int = 1, cpu_milli: int = 2000, **fields: object) -> JobSpec:
        """A job of some user's kind: one of four queues, a given length; cpu_milli: for a GPU."""
        need = Need(gpu_milli=1000 * gpus, cpu_milli=cpu_milli * gpus, memory_mib=8192 * gpus)
        spec = JobSpec(
            f"job-{self.draw(40)}",
            (Role("worker", shards, need, ("train",)),),
            queue=QUEUES[self.draw(len(QUEUES))],
            priority=0,
            walltime_ms=(10 + self.draw(600)) * MINUTE_MS,
        )
        return replace(spec, **fields)  # type: ignore[arg-type]

    def submit(self, spec: JobSpec) -> Job:
        """One job more."""
        event = self.submission(spec)
        self.do(event)
        return self.cluster.jobs[event.job_id]

    def submission(self, spec: JobSpec) -> ev.JobSubmitted:
        """The event of one job more."""
        self.now_ms += 10
        job_id, user = job_id_of(self.cluster.next_seq), USERS[self.draw(len(USERS))]
        return ev.JobSubmitted(self.now_ms, job_id, spec, user)

    def decide_ms(self, event: ev.Event) -> tuple[float, Plan]:
        """Apply the event, decide and prove the plan: milliseconds of processor time, the plan."""
        began = time.process_time()
        apply(self.cluster, event)
        plan = self.decider.decide(self.cluster)
        check(self.cluster, plan)
        return 1000 * (time.process_time() - began), plan

    def commit(self, plan: Plan) -> None:
        """What the daemon does with a plan; whatever starts, runs at once."""
        accepted, rejected = check(self.cluster, plan)
        assert not rejected, rejected
        if accepted.is_empty:
            return
        parts = (
            *(accepted.starts, accepted.stops, accepted.claims),
            *(accepted.unclaims, accepted.planned, accepted.unplanned),
        )
        self.do(ev.PlanCommitted(self.now_ms, accepted.basis, accepted.policy, *parts))
        for start in accepted.starts:
            for rank in range(len(start.placements)):
                self.do(ev.ShardStarted(self.now_ms, start.job_id, start.attempt, rank, 1))

    def exit(self, job_id: JobId) -> None:
        """The job ends by itself."""
        for event in self.exits(job_id):
            self.do(event)

    def exits(self, job_id: JobId) -> list[ev.ShardExited]:
        """The events of its end, shard by shard."""
        job = self.cluster.jobs[job_id]
        self.now_ms += 10
        ranks = range(len(job.current.placements))
        return [ev.ShardExited(self.now_ms, job_id, job.attempt, rank, Exit()) for rank in ranks]

    def cancel(self, job_id: JobId) -> None:
        """Its user gives up."""
        self.do(ev.JobCancelRequested(self.now_ms, job_id, "ann", 0))

    def running(self) -> list[Job]:
        """Active jobs in a fixed order that has nothing to do with that of their starts."""
        jobs = sorted(self.cluster.active.values(), key=lambda job: job.submit_seq)
        jobs.sort(key=lambda job: job.submit_seq * 48_271 % 65_537)
        return jobs

    def free_singles(self, count: int) -> None:
        """End so many jobs of one GPU, at most one on a node."""
        nodes: set[NodeId] = set()
        for job in self.running():
            places = job.current.placements
            node_id = places[0].node_id
            is_single = len(places) == 1 and len(places[0].devices) == 1
            if is_single and node_id not in nodes and len(nodes) < count:
                nodes.add(node_id)
                self.exit(job.id)

    def fill(self, shapes: Shapes = RUNNING, **fields: object) -> None:
        """Start jobs of these shapes in turn until every device is held."""
        left = self.nodes * 8
        turn = 0
        while left:
            for _ in range(max(256, self.nodes // 8)):
                gpus, shards = shapes[turn % len(shapes)]
                turn += 1
                if gpus * shards > left:
                    gpus, shards = 1, 1
                if not left:
                    break
                left -= gpus * shards
                self.submit(self.spec(gpus, shards, **fields))  # type: ignore[arg-type]
            self.commit(self.decider.decide(self.cluster))
        while len(self.cluster.waiting):  # what no longer fitted in one piece
            for job_id in self.cluster.waiting.ids():
                self.cancel(job_id)
            free = sum(d.free_milli == 1000 for n in self.cluster.nodes.values() for d in n.devices)
            for _ in range(free):
                self.submit(self.spec(1, **fields))  # type: ignore[arg-type]
            self.commit(self.decider.decide(self.cluster))

    def queue_up(self, count: int, shapes: Shapes = WAITING, kinds: int = 1) -> None:
        """Let so many mixed jobs wait, of many lengths; kinds: different needs of each shape."""
        for number in range(count):
            gpus, shards = shapes[number % len(shapes)]
            kind = number // len(shapes) % kinds
            self.submit(self.spec(gpus, shards, cpu_milli=2000 + kind))

    def settle(self) -> None:
        """Decide and commit until there is nothing more to do."""
        plan = self.decider.decide(self.cluster)
        while not plan.is_empty:
            self.commit(plan)
            plan = self.decider.decide(self.cluster)


def _node(at_ms: int, number: int) -> ev.NodeRegistered:
    name = f"n{number:05}"
    devices = tuple(DeviceSpec(f"{name}-{i}", "H100", 81_920, island=0) for i in range(8))
    labels = {"rack": f"r{number // 16}", "host": name}
    there = Inventory(name, name, 128_000, 1_048_576, devices, labels)
    return ev.NodeRegistered(at_ms, NodeId(name), there, "1", 1)
