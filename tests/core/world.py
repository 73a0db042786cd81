"""World: a cluster driven by hand, one event at a time, with everything checked after each.

It stands where the daemon's engine stands, without journal, clock or network: scenarios, the state
machine and the recorded journals all drive this one.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.arrays import jobs_of
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.decide import FUEL, decide
from aimass.core.depends import dependency_problem
from aimass.core.invariants import check_invariants
from aimass.core.model import (
    DeviceSpec,
    Exit,
    ExitReason,
    Inventory,
    Job,
    JobState,
    Node,
    NodeId,
    ShardState,
)
from aimass.core.plan import Plan
from aimass.core.policy import Policy
from aimass.core.spec import Elastic, JobSpec, Need, Role
from aimass.core.spec_problems import problems
from aimass.core.survey import wait_reason
from aimass.core.timers import next_timer_ms
from aimass.policies.registry import make_policy

GIB = 1024
STEP_MS = 1000
ROUNDS_MAX = 6  # of decisions, until nobody moves


def gpus(
    node: str, count: int, model: str = "H100", *, memory_mib: int = 80 * GIB, island: int = 0
) -> tuple[DeviceSpec, ...]:
    """`count` GPUs in NVLink islands of `island` each (0: no NVLink)."""
    return tuple(
        DeviceSpec(f"GPU-{node}-{i}", model, memory_mib, island=i // island if island else -1)
        for i in range(count)
    )


def inventory(
    node: str,
    devices: tuple[DeviceSpec, ...] = (),
    *,
    cpus: int = 64,
    memory_mib: int = 512 * GIB,
    labels: dict[str, str] | None = None,
) -> Inventory:
    """What a node of this name reports; its address is its name."""
    return Inventory(node, node, cpus * 1000, memory_mib, devices, labels or {})


def one_role(
    shards: int = 1, gpus: float = 0, cpus: float = 0, elastic: Elastic | None = None, **need: Any
) -> tuple[Role, ...]:
    """The roles of an ordinary job: `shards` workers with so many GPUs and CPUs each."""
    each = Need(gpu_milli=int(gpus * 1000), cpu_milli=int(cpus * 1000), **need)
    return (Role("worker", shards, each, ("train",), elastic),)


class World:
    """A cluster and the history that made it; every event is one second after the last.

    A plan is committed in the moment in which it was decided, as the engine does it.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or make_policy()
        self.cluster = Cluster()
        self.history: list[ev.Event] = []
        self.now_ms = 0
        self.wake_ms = 0  # when the last plan wants to be made again
        self.do(ev.ClusterCreated, cluster_id="test")
        self.do(ev.TermStarted, term=1)

    def do(self, kind: type[ev.Event], step_ms: int = STEP_MS, **fields: Any) -> ev.Event:
        """Apply one event, check every invariant, and remember it."""
        self.now_ms += step_ms
        event = kind(at_ms=self.now_ms, **fields)
        apply(self.cluster, event)
        check_invariants(self.cluster)
        self.history.append(event)
        return event

    # ---- time -----------------------------------------------------------------------------------

    def tick(self, until_ms: int) -> bool:
        """Go to where something falls due, at most to until_ms; whether something did."""
        due = [at for at in (next_timer_ms(self.cluster), self.wake_ms) if at]
        at_ms = max(self.now_ms, min(due, default=until_ms + 1))
        if at_ms > until_ms:
            self.now_ms = until_ms
            return False
        self.wake_ms = 0 if at_ms >= self.wake_ms else self.wake_ms
        self.do(ev.Tick, at_ms - self.now_ms)
        return True

    def wait(self, span_ms: int) -> None:
        """Let time pass; the scheduler decides whenever something falls due."""
        until_ms = self.now_ms + span_ms
        while self.tick(until_ms):
            self.plan()

    # ---- what clients and agents say ------------------------------------------------------------

    def join(self, node: str, reported: Inventory, boot: str = "1") -> Node:
        """Its agent registers, for the first time or again."""
        known = self.cluster.nodes.get(NodeId(node))
        self.do(
            ev.NodeRegistered,
            node_id=NodeId(node),
            inventory=reported,
            boot_id=boot,
            incarnation=known.incarnation + 1 if known else 1,
        )
        return self.cluster.nodes[NodeId(node)]

    def submit(self, roles: tuple[Role, ...], name: str = "job", **fields: Any) -> Job:
        """Submit a possible spec; other fields of JobSpec by name."""
        return self.submit_spec(JobSpec(name, roles, **fields))

    def submit_spec(
        self, spec: JobSpec, key: str = "", user: str = "ann", held: bool = False
    ) -> Job:
        """Submit a spec that has no problems, as the edge would have made sure; its first task."""
        assert self.refusals(spec) == []
        job_id = job_id_of(self.cluster.next_seq)
        self.do(
            ev.JobSubmitted, job_id=job_id, spec=spec, user=user, idempotency_key=key, held=held
        )
        return jobs_of(self.cluster, job_id)[0]

    def refusals(self, spec: JobSpec) -> list[str]:
        """Why the edge would refuse to take this spec."""
        found = [f"{field}: {text}" for field, text in problems(spec)]
        problem = "" if found else dependency_problem(self.cluster, spec)
        return [*found, f"depends_on: {problem}"] if problem else found

    def cancel(self, job: Job, grace_ms: int = 30_000) -> None:
        """Ann cancels it."""
        self.do(ev.JobCancelRequested, job_id=job.id, by="ann", grace_ms=grace_ms)

    def start(self, job: Job, ranks: Iterable[int] | None = None) -> None:
        """These shards of the current attempt, or all, report that they run."""
        for rank in live_ranks(job) if ranks is None else ranks:
            self.do(ev.ShardStarted, job_id=job.id, attempt=job.attempt, rank=rank, pid=100 + rank)

    def exit(self, job: Job, ranks: Iterable[int] | None = None, how: Exit | None = None) -> None:
        """These shards of the current attempt, or all that live, end; with code 0 by default."""
        number = job.attempt
        for rank in live_ranks(job) if ranks is None else ranks:
            self.do(ev.ShardExited, job_id=job.id, attempt=number, rank=rank, exit=how or Exit())

    # ---- what the scheduler does ----------------------------------------------------------------

    def plan(self, fuel_units: int = FUEL) -> Plan:
        """Decide, prove the plan, commit it, and prove that deciding again moves nobody.

        The shipped policies never propose what check() rejects.
        """
        plan = self._plan_once(fuel_units)
        if plan.fuel_left and not plan.unclaims:  # who lost a claim is looked at next
            again = decide(self.cluster, self.policy)
            assert again.is_still, f"decided otherwise at once: {replace(again, waits=())}"
        return plan

    def settle(self) -> Plan:
        """Decide and commit until nobody moves any more: a few rounds, never in circles.

        One is nearly always enough; several queues, windows and claims together may take more.
        """
        first = plan = self._plan_once(FUEL)
        for _ in range(ROUNDS_MAX):
            if plan.is_still:
                return first
            plan = self._plan_once(FUEL)
        raise AssertionError(f"does not settle: {replace(plan, waits=())}")

    def carry_out(self) -> None:
        """Decide until nobody moves; who is told to stop is gone at once, who starts works."""
        for _ in range(10):
            plan = self.plan()
            for stop in plan.stops:
                self.exit(self.cluster.jobs[stop.job_id], how=Exit(reason=ExitReason.STOPPED))
            for start in plan.starts:
                self.start(self.cluster.jobs[start.job_id])
            if plan.is_still:
                return
        raise AssertionError("it does not come to rest")

    def _plan_once(self, fuel_units: int) -> Plan:
        plan = decide(self.cluster, self.policy, fuel_units)
        accepted, rejected = check(self.cluster, plan)
        assert (accepted, rejected) == (plan, ()), rejected
        if not plan.is_empty:
            self.commit(plan)
        self.wake_ms = plan.wake_ms
        return plan

    def commit(self, plan: Plan) -> None:
        """The plan becomes fact."""
        fields = ("basis", "policy", "starts", "stops", "claims", "unclaims", "planned")
        said = {name: getattr(plan, name) for name in (*fields, "unplanned")}
        self.do(ev.PlanCommitted, 0, **said)


def codes(world: World, plan: Plan) -> list[str]:
    """Why each shape of the plan waits."""
    cluster = world.cluster
    return [wait_reason(cluster, w, cluster.jobs[w.first])[0] for w in plan.waits]


def live_ranks(job: Job) -> list[int]:
    """Ranks of the current attempt that have not exited."""
    shards = job.current.shards
    return [rank for rank, shard in enumerate(shards) if shard.state is not ShardState.EXITED]


def jobs_in(cluster: Cluster, *states: JobState) -> list[Job]:
    """Jobs in one of these states, by submit order."""
    return [job for job in cluster.jobs.values() if job.state in states]


def active_jobs(cluster: Cluster) -> list[Job]:
    """Jobs that hold capacity, by submit order."""
    return [job for job in cluster.jobs.values() if job.state.is_active]


def replay(history: Iterable[ev.Event]) -> Cluster:
    """The state that this history folds to."""
    cluster = Cluster()
    for event in history:
        apply(cluster, event)
    return cluster


def without(reported: Inventory, *uuids: str) -> Inventory:
    """The same node after these devices fell off the bus."""
    return replace(reported, devices=tuple(d for d in reported.devices if d.uuid not in uuids))


def with_failed(reported: Inventory, *uuids: str) -> Inventory:
    """The same node with these devices failed."""
    devices = (
        replace(d, healthy=False, health_detail="Xid 79") if d.uuid in uuids else d
        for d in reported.devices
    )
    return replace(reported, devices=tuple(devices))
