"""predict(snapshot, job, policy): when a waiting job will start, by playing the future through.

On a copy of the cluster every job runs as long as it is expected to and nobody comes; the real
decide and apply do the rest. With exact run times and no arrivals that is what will happen.
"""

from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.codec import encode_snapshot, restore
from aimass.core.decider import Decider
from aimass.core.model import Exit, ExitReason, Goal, Job, JobId, JobState
from aimass.core.plan import Plan
from aimass.core.policy import Policy
from aimass.core.runtimes import expected_end_ms, run_estimate
from aimass.core.spec import PreemptMode
from aimass.core.timers import next_timer_ms

STEPS_MAX = 500  # moments looked at; beyond, it is only known to be later
ROUNDS_MAX = 8  # decisions at one moment; nearly always the second has nothing to add
WAITING_MAX = 500  # jobs up to which the future is played through
ACTIVE_MAX = 2_000


class Pace(Enum):
    """How long jobs run whose run time was learned: an estimate is the mean and two spreads."""

    SOONEST = 4
    LIKELY = 2
    LATEST = 0


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a job will start. Times are 0 when nobody can say.

    is_promise: it starts at_ms at the latest, whoever comes. is_known: every run time that it rests
    on was given or learned. after_ms: not before this, as far as the future was looked at.
    """

    at_ms: int = 0
    earliest_ms: int = 0
    latest_ms: int = 0
    is_known: bool = False
    is_promise: bool = False
    after_ms: int = 0


def seed(cluster: Cluster, job: Job) -> bytes | None:
    """The snapshot to predict from; None when there is nothing to predict, or too much to play.

    O(jobs that are not over).
    """
    is_to_come = job.state in (JobState.QUEUED, JobState.RESERVED) or comes_back(job)
    if not is_to_come or len(cluster.waiting) > WAITING_MAX or len(cluster.active) > ACTIVE_MAX:
        return None
    return encode_snapshot(cluster, with_ended=False)


def comes_back(job: Job) -> bool:
    """True while the job is stopping for the sake of others, and goes on afterwards."""
    if job.state is not JobState.STOPPING:
        return False
    goal = job.current.stop_goal
    is_requeued = job.spec.preemption.mode is PreemptMode.REQUEUE
    return goal in (Goal.REQUEUE, Goal.RESIZE) or (goal is Goal.PREEMPT and is_requeued)


def merged(said: Outlook, foreseen: Outlook) -> Outlook:
    """What is promised with what is foreseen: a promised start may well come earlier."""
    if not foreseen.at_ms:
        return said if said.at_ms or not foreseen.after_ms else foreseen
    if not (said.is_promise and said.at_ms):
        return foreseen
    at_ms = min(foreseen.at_ms, said.at_ms)
    earliest_ms = min(foreseen.earliest_ms, at_ms)
    return Outlook(at_ms, earliest_ms, said.at_ms, foreseen.is_known, is_promise=True)


def predict(
    snapshot: bytes, job_id: JobId, policy: Policy, now_ms: int = 0, steps_max: int = STEPS_MAX
) -> Outlook:
    """The start of a job that waits, has its hour to come, or owns places that others leave.

    snapshot: of codec.encode_snapshot. now_ms: the time it is (0: as there). O(steps)
    decisions, and a look after each that moved somebody; three times that with learned run times.
    """
    likely = _Run(_restored(snapshot, now_ms), policy, Pace.LIKELY)
    at_ms = likely.until(job_id, steps_max)
    if not at_ms and likely.is_known and likely.is_cut_short:
        return Outlook(after_ms=likely.cluster.now_ms)
    if not at_ms or not likely.is_known:
        return Outlook()  # what is taken for a run time that nobody knows is no forecast
    if not likely.has_spread:
        return Outlook(at_ms, at_ms, at_ms, is_known=True)
    ends = [
        _Run(_restored(snapshot, now_ms), policy, pace).until(job_id, steps_max)
        for pace in (Pace.SOONEST, Pace.LATEST)
    ]
    # A schedule may turn out shorter when its jobs run longer (Graham's anomalies): keep the order.
    known = sorted(end_ms for end_ms in (*ends, at_ms) if end_ms)
    return Outlook(at_ms, known[0], known[-1] if all(ends) else 0, is_known=True)


def _restored(snapshot: bytes, now_ms: int) -> Cluster:
    cluster = restore(snapshot)
    if now_ms > cluster.now_ms:
        apply(cluster, ev.Tick(now_ms))
    return cluster


class _Run:
    """One future of a cluster, which is used up."""

    def __init__(self, cluster: Cluster, policy: Policy, pace: Pace) -> None:
        self.cluster = cluster
        self.is_known = True  # so far, all that ended did so when somebody knew
        self.has_spread = False
        self.is_cut_short = False
        self._pace = pace
        self._decider = Decider(policy)
        self._due: list[tuple[int, int, JobId, int, bool]] = []
        self._stopping: set[tuple[JobId, int]] = set()
        for job in sorted(cluster.active.values(), key=lambda job: job.submit_seq):
            self._expect(job)

    def until(self, job_id: JobId, steps_max: int) -> int:
        """When the job starts; 0: never, or later than was looked at."""
        cluster = self.cluster
        for _ in range(steps_max):
            is_started, wake_ms = self._decide(job_id)
            if is_started:
                return cluster.now_ms
            self._note_stops()
            if cluster.jobs[job_id].state.is_over:
                return 0
            times = [wake_ms, next_timer_ms(cluster), self._due[0][0] if self._due else 0]
            times = [at_ms for at_ms in times if at_ms]
            if not times:
                return 0
            self._go_to(max(min(times), cluster.now_ms))
        self.is_cut_short = True
        return 0

    def _decide(self, job_id: JobId) -> tuple[bool, int]:
        """Decide until there is nothing more to do at this moment: whether the job starts, and when
        to look again. Only a decision after a start knows when that will make a difference.
        """
        wake_ms = 0
        for _ in range(ROUNDS_MAX):
            plan, _rejected = check(self.cluster, self._decider.decide(self.cluster))
            wake_ms = plan.wake_ms
            if any(start.job_id == job_id for start in plan.starts):
                return True, wake_ms
            if plan.is_empty:
                break
            self._commit(plan)
        return False, wake_ms

    def _commit(self, plan: Plan) -> None:
        now_ms = self.cluster.now_ms
        parts = (plan.starts, plan.stops, plan.claims, plan.unclaims, plan.planned, plan.unplanned)
        apply(self.cluster, ev.PlanCommitted(now_ms, plan.basis, plan.policy, *parts))
        for start in plan.starts:
            for rank in range(len(start.placements)):
                apply(
                    self.cluster, ev.ShardStarted(now_ms, start.job_id, start.attempt, rank, pid=1)
                )
            self._expect(self.cluster.jobs[start.job_id])

    def _go_to(self, at_ms: int) -> None:
        cluster = self.cluster
        if at_ms > cluster.now_ms:
            apply(cluster, ev.Tick(at_ms))
        while self._due and self._due[0][0] <= at_ms:
            _, _, job_id, attempt, is_known = heappop(self._due)
            job = cluster.jobs.get(job_id)
            if job is None or not job.state.is_active or job.attempt != attempt:
                continue
            self.is_known = self.is_known and is_known
            is_stopped = job.current.stop_goal is not None
            reason = ExitReason.STOPPED if is_stopped else ExitReason.EXITED
            for rank in range(len(job.current.placements)):
                apply(cluster, ev.ShardExited(at_ms, job_id, attempt, rank, Exit(reason=reason)))
        self._note_stops()

    def _note_stops(self) -> None:
        """Whoever was ordered to stop since leaves when notice and grace are over."""
        stopping = [j for j in self.cluster.active.values() if j.state is JobState.STOPPING]
        for job in sorted(stopping, key=lambda job: job.submit_seq):
            if (job.id, job.attempt) not in self._stopping:
                self._expect(job)

    def _expect(self, job: Job) -> None:
        """When the current attempt of an active job will have ended."""
        cluster = self.cluster
        end_ms, is_known = expected_end_ms(cluster, job)
        if job.state is JobState.STOPPING:
            self._stopping.add((job.id, job.attempt))
        else:
            run_ms, spread_ms, _ = run_estimate(cluster, job)
            if spread_ms:
                self.has_spread = True
                begin_ms = job.current.running_ms or cluster.now_ms
                likely_ms = begin_ms + max(1, run_ms - self._pace.value * spread_ms)
                end_ms = min(end_ms, max(likely_ms, cluster.now_ms + 1))
        heappush(self._due, (end_ms, job.submit_seq, job.id, job.attempt, is_known))
