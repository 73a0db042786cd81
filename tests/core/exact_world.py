"""A world in which everything lasts exactly as long as expected: what is promised must come true.

It drives the real apply, decide and check by events of its own, in virtual time.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.decider import Decider
from aimass.core.invariants import check_invariants
from aimass.core.model import Exit, ExitReason, Goal, Job, JobId, JobState
from aimass.core.plan import Plan
from aimass.core.policy import Policy
from aimass.core.runtimes import run_estimate
from aimass.core.spec import JobSpec
from aimass.core.timers import next_timer_ms
from aimass.policies.registry import make_policy
from tests.core.world import gpus, inventory

ROUNDS_MAX = 5_000
SETTLE_MAX = 6  # decisions at one moment until nobody moves; nearly always one
BEGIN_MS = 1_000_000  # zero means "not yet" in the state


@dataclass
class ExactWorld:
    """Nodes of `devices` GPUs each, and jobs that run for exactly what they are expected to."""

    devices: list[int]
    policy: Policy = field(default_factory=make_policy)
    cluster: Cluster = field(default_factory=Cluster)
    plans: list[Plan] = field(default_factory=list)
    started_ms: dict[JobId, int] = field(default_factory=dict)
    first_promise_ms: dict[JobId, int] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)  # promises that moved to a later time
    is_checked: bool = True

    def __post_init__(self) -> None:
        self.decider = Decider(self.policy)
        self._due: list[tuple[int, int, str, tuple[JobId, int]]] = []
        self._count = 0
        self.do(ev.ClusterCreated(BEGIN_MS, "exact"))
        self.do(ev.TermStarted(BEGIN_MS, 1))
        for number, count in enumerate(self.devices, 1):
            name = f"n{number}"
            there = inventory(name, gpus(name, count, island=0), cpus=64)
            self.do(ev.NodeRegistered(BEGIN_MS, name, there, "1", 1))  # type: ignore[arg-type]

    def do(self, event: ev.Event) -> None:
        """Apply one event and check every invariant."""
        apply(self.cluster, event)
        if self.is_checked:
            check_invariants(self.cluster)

    def submit(self, at_ms: int, spec: JobSpec) -> Job:
        """A job comes."""
        job_id = job_id_of(self.cluster.next_seq)
        self.do(ev.JobSubmitted(at_ms, job_id, spec, "ann"))
        return self.cluster.jobs[job_id]

    def decide(self) -> Plan:
        """Decide and commit, as the daemon does; the plan must hold and be final."""
        plan = self._decide_once()
        for _ in range(SETTLE_MAX):
            if decide(self.cluster, self.policy).is_still:
                return plan
            self.decider.forget()
            plan = self._decide_once()
        raise AssertionError(f"does not settle: {plan}")

    def _decide_once(self) -> Plan:
        plan = self.decider.decide(self.cluster)
        anew = decide(self.cluster, self.policy)
        assert [s.job_id for s in plan.starts] == [s.job_id for s in anew.starts], "the cache lies"
        assert plan.stops == anew.stops, "the cache lies"
        accepted, rejected = check(self.cluster, plan)
        assert not rejected, rejected
        if not plan.is_empty:
            self._commit(accepted)
        self.plans.append(plan)
        return plan

    def _commit(self, plan: Plan) -> None:
        now_ms = self.cluster.now_ms
        for promise in plan.planned:
            old = self.cluster.planned.get(promise.job_id)
            if old is not None and promise.start_ms > old.start_ms:
                self.late.append(f"{promise.job_id}: {old.start_ms} -> {promise.start_ms}")
            self.first_promise_ms.setdefault(promise.job_id, promise.start_ms)
        parts = (plan.starts, plan.stops, plan.claims, plan.unclaims, plan.planned, plan.unplanned)
        self.do(ev.PlanCommitted(now_ms, plan.basis, plan.policy, *parts))
        for stop in plan.stops:
            self._later(now_ms + 1, "stopped", stop.job_id, stop.attempt)
        for start in plan.starts:
            self._run(start.job_id, start.attempt)

    def _run(self, job_id: JobId, attempt: int) -> None:
        now_ms, job = self.cluster.now_ms, self.cluster.jobs[job_id]
        self.started_ms.setdefault(job_id, now_ms)
        for rank in range(len(job.current.placements)):
            self.do(ev.ShardStarted(now_ms, job_id, attempt, rank, 1))
        self._later(now_ms + run_estimate(self.cluster, job)[0], "exits", job_id, attempt)

    def _later(self, at_ms: int, what: str, job_id: JobId, attempt: int) -> None:
        self._count += 1
        heappush(self._due, (at_ms, self._count, what, (job_id, attempt)))

    def run(self, arrivals: list[tuple[int, JobSpec]]) -> None:
        """Decide after each moment, until nothing is due; arrivals count from BEGIN_MS."""
        todo = sorted(((BEGIN_MS + t, spec) for t, spec in arrivals), key=lambda a: a[0])
        for _ in range(ROUNDS_MAX):
            times = [todo[0][0]] if todo else []
            times += [self._due[0][0]] if self._due else []
            wake = self.plans[-1].wake_ms if self.plans else 0
            times += [t for t in (wake, next_timer_ms(self.cluster)) if t]
            if not times:
                return
            now_ms = max(min(times), self.cluster.now_ms)
            if now_ms > self.cluster.now_ms:
                self.do(ev.Tick(now_ms))
            while todo and todo[0][0] <= now_ms:
                self.submit(now_ms, todo.pop(0)[1])
            while self._due and self._due[0][0] <= now_ms:
                _, _, what, (job_id, attempt) = heappop(self._due)
                self._happen(now_ms, what, job_id, attempt)
            self.decide()
        raise AssertionError(f"no end in sight: {self.cluster.now_ms}")

    def _happen(self, now_ms: int, what: str, job_id: JobId, attempt: int) -> None:
        job = self.cluster.jobs[job_id]
        if not job.state.is_active or job.attempt != attempt:
            return
        is_stopped = what == "stopped" or job.current.stop_goal not in (None, Goal.FAIL)
        reason = ExitReason.STOPPED if is_stopped else ExitReason.EXITED
        for rank in range(len(job.current.placements)):
            self.do(ev.ShardExited(now_ms, job_id, attempt, rank, Exit(reason=reason)))

    def unfinished(self) -> list[JobId]:
        """Jobs that have not ended."""
        return [j.id for j in self.cluster.jobs.values() if j.state is not JobState.SUCCEEDED]
