"""A live cluster's journal as a trace: what was submitted, when, how large, and how long it ran."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.events import Event, PlanCommitted
from aimass.core.lost_work import held_milli
from aimass.core.model import Attempt, Job, JobId, NodeState
from aimass.core.spec import WHOLE_GPU_MILLI, DependsOn
from aimass.simulator.tracejob import TraceJob

NEVER_RAN, STILL_THERE = "never ran", "had not ended"
NO_GPU, SHARES = "held no GPU", "held parts of several GPUs, for which traces have no word"


@dataclass(slots=True)
class Exported:
    """The jobs by submission, and how many were left out, by the reason.

    cluster: its nodes with GPUs at the end of the journal, as `--cluster` takes them.
    """

    jobs: list[TraceJob] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    cluster: str = ""


def export(events: Iterable[Event]) -> Exported:
    """Fold the events of a journal, from the first on, into a trace. O(events) + O(jobs) memory.

    submit_ms, on the clock of the journal: when the job could first have started, because it was
    submitted, released, its start time had come and what it depends on had ended. work_ms: how long
    its last attempt ran, and what earlier ones had saved in checkpoints. gpu_milli: of its last
    attempt. slo_ms: until its deadline. A job that failed or was cancelled counts if it ran.
    """
    return _Fold().all(events)


class _Fold:
    def __init__(self) -> None:
        self._cluster = Cluster()
        self._found = Exported()
        self._queued_ms: dict[JobId, int] = {}  # when jobs that have started were first queued
        self._ends_ms: dict[str, int] = {}  # of jobs, and of arrays: of the last of them
        self._last: JobId | None = None  # of those that are over

    def all(self, events: Iterable[Event]) -> Exported:
        cluster, found = self._cluster, self._found
        for event in events:
            if isinstance(event, PlanCommitted):
                for start in event.starts:
                    job = cluster.jobs[start.job_id]
                    self._queued_ms.setdefault(job.id, job.queued_ms)
            apply(cluster, event)
            if cluster.over:
                self._take_ended()
        for job in cluster.jobs.values():
            if not job.state.is_over:
                found.left_out[STILL_THERE] += 1
        found.jobs.sort(key=lambda job: (job.submit_ms, job.line))
        found.cluster = _spelled(cluster)
        return found

    def _take_ended(self) -> None:
        """Whatever is over since the last event."""
        over, fresh = self._cluster.over, []
        for job_id in reversed(over):
            if job_id == self._last:
                break
            fresh.append(job_id)
        for job_id in reversed(fresh):
            self._ended(self._cluster.jobs[job_id])
            self._last = job_id

    def _ended(self, job: Job) -> None:
        self._ends_ms[job.id] = job.ended_ms
        if job.array_id:
            self._ends_ms[job.array_id] = job.ended_ms
        queued_ms = self._queued_ms.pop(job.id, job.submitted_ms)
        if not job.ran_ms:
            self._found.left_out[NEVER_RAN] += 1
            return
        last = job.attempts[-1]
        gpu_milli = held_milli(last.placements)
        if not gpu_milli or (gpu_milli > WHOLE_GPU_MILLI and _has_shares(last)):
            self._found.left_out[SHARES if gpu_milli else NO_GPU] += 1
            return
        submit_ms, deadline_ms = self._could_start_ms(job, queued_ms), job.spec.deadline_ms
        self._found.jobs.append(
            TraceJob(
                job.id,
                submit_ms,
                max(1, _work_ms(job)),
                gpu_milli,
                job.submit_seq,
                user=job.user,
                queue=job.spec.queue,
                priority=job.spec.priority,
                gpu_types=_types(job),
                slo_ms=max(0, deadline_ms - submit_ms) if deadline_ms else 0,
            )
        )

    def _could_start_ms(self, job: Job, queued_ms: int) -> int:
        times_ms = [queued_ms, job.spec.start_after_ms]
        for other in job.spec.depends_on:
            task = f"{other.job_id}_{job.array_index}"
            of_task = other.condition is DependsOn.EACH and task in self._ends_ms
            times_ms.append(self._ends_ms.get(task if of_task else other.job_id, 0))
        return max(times_ms)


def _work_ms(job: Job) -> int:
    """What the last attempt ran, and of those before it what was saved."""
    last = job.attempts[-1]
    if not last.running_ms:
        return job.saved_ms
    kept_ms = max(0, min(last.ended_ms, last.checkpoint_ms) - last.running_ms)
    return job.saved_ms - kept_ms + last.ended_ms - last.running_ms


def _has_shares(attempt: Attempt) -> bool:
    return any(p.devices and p.share_milli % WHOLE_GPU_MILLI for p in attempt.placements)


def _types(job: Job) -> tuple[str, ...]:
    """GPU types that it took; none when some role took any."""
    needs = [role.need for role in job.spec.roles if role.need.has_gpu]
    if not all(need.gpu_types for need in needs):
        return ()
    return tuple(sorted({word for need in needs for word in need.gpu_types}))


def _spelled(cluster: Cluster) -> str:
    """Kinds of nodes by GPUs and model, the most frequent first; nodes that are lost left out."""
    kinds: Counter[tuple[int, str]] = Counter()
    for node in cluster.nodes.values():
        if node.devices and node.state is not NodeState.LOST:
            kinds[len(node.devices), node.devices[0].spec.model] += 1
    return "+".join(f"{n}x{gpus}x{model}" for (gpus, model), n in kinds.most_common())
