"""Observer: what became of the jobs of a cluster, from its events, whoever made them.

A recorded journal and its counterfactual are told by the same code, so that their figures can be
compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.events import (
    Event,
    InventoryChanged,
    JobSubmitted,
    LeaseExpired,
    NodeRegistered,
    PlanCommitted,
    ShardExited,
)
from aimass.core.lost_work import held_milli
from aimass.core.model import Attempt, Job, JobId, JobState, NodeState
from aimass.simulator.run_summary import quantile_s

_OF_NODES = (NodeRegistered, InventoryChanged, LeaseExpired)


class Life(NamedTuple):
    """One job that is over. Times in ms on the cluster's clock; start_ms: -1 for never.

    Of held_ms, the time that its attempts held their places, starting_ms passed before all shards
    ran, and stopping_ms after an order to stop. why: the end of the first attempt that was stopped.
    """

    job_id: JobId
    name: str
    state: JobState
    submit_ms: int
    start_ms: int
    end_ms: int
    attempts: int
    held_ms: int
    starting_ms: int
    stopping_ms: int
    why: str

    @property
    def jct_ms(self) -> int:
        """From its submission to its end."""
        return self.end_ms - self.submit_ms

    @property
    def wait_ms(self) -> int:
        """All of that without places."""
        return self.jct_ms - self.held_ms


@dataclass(slots=True)
class _Sum:
    start_ms: int = -1
    attempts: int = 0
    held_ms: int = 0
    starting_ms: int = 0
    stopping_ms: int = 0
    why: str = ""


def _ignore(cluster: Cluster, job: Job, attempt: Attempt) -> None:
    """Nobody else wants to hear of attempts."""


class Observer:
    """Is told of every event after it was applied. O(shards) an event, O(active) one of a node."""

    def __init__(self, on_attempt: Callable[[Cluster, Job, Attempt], None] = _ignore) -> None:
        """on_attempt: is told of each attempt that has ended, before its job is forgotten."""
        self.lives: dict[JobId, Life] = {}  # by their ends
        self.held = 0  # milli-GPU x ms, as `capacity` from the first submission to the last end
        self.capacity = 0
        self._on_attempt = on_attempt
        self._sums: dict[JobId, _Sum] = {}
        self._live: dict[JobId, int] = {}  # attempts that hold places
        self._at_ms = -1
        self._held_now = self._capacity_now = self._held = self._capacity = 0
        self._last: JobId | None = None  # of those that are over

    def note(self, cluster: Cluster, event: Event) -> None:
        """The event has just been applied."""
        self._pass(event.at_ms)
        if isinstance(event, PlanCommitted):
            for start in event.starts:
                total = self._sums.setdefault(start.job_id, _Sum())
                total.start_ms = event.at_ms if total.start_ms < 0 else total.start_ms
                total.attempts += 1
                self._live[start.job_id] = start.attempt
                self._held_now += held_milli(start.placements)
        elif isinstance(event, ShardExited):
            self._look(cluster, event.job_id)
        elif isinstance(event, _OF_NODES):
            self._capacity_now = capacity_milli(cluster)
            for job_id in list(self._live):
                self._look(cluster, job_id)
        elif isinstance(event, JobSubmitted) and self._at_ms < 0:
            self._at_ms = event.at_ms
        self._take_over(cluster)

    def makespan_ms(self) -> int:
        """From the first submission to the last end; 0 when nothing has ended."""
        begin_ms = min((life.submit_ms for life in self.lives.values()), default=0)
        return max((life.end_ms for life in self.lives.values()), default=0) - begin_ms

    def _pass(self, at_ms: int) -> None:
        if self._at_ms >= 0:
            elapsed_ms = max(0, at_ms - self._at_ms)
            self._held += self._held_now * elapsed_ms
            self._capacity += self._capacity_now * elapsed_ms
            self._at_ms = max(self._at_ms, at_ms)

    def _look(self, cluster: Cluster, job_id: JobId) -> None:
        """Has the attempt of the job ended?"""
        number = self._live.get(job_id)
        job = cluster.jobs.get(job_id)
        if number is None or job is None or job.state.is_active:
            return
        del self._live[job_id]
        attempt, total = job.attempts[-1], self._sums[job_id]
        assert attempt.number == number, f"{job_id}: attempt {number} ended unseen"
        self._held_now -= held_milli(attempt.placements)
        total.held_ms += attempt.ended_ms - attempt.placed_ms
        total.starting_ms += (attempt.running_ms or attempt.ended_ms) - attempt.placed_ms
        if attempt.stop_goal is not None:
            total.stopping_ms += attempt.ended_ms - attempt.stopping_ms
            total.why = total.why or attempt.outcome
        self._on_attempt(cluster, job, attempt)

    def _take_over(self, cluster: Cluster) -> None:
        """Whatever is over since the last event."""
        fresh = []
        for job_id in reversed(cluster.over):
            if job_id == self._last:
                break
            fresh.append(job_id)
        for job_id in reversed(fresh):
            job, total = cluster.jobs[job_id], self._sums.pop(job_id, _Sum())
            self.lives[job_id] = Life(
                job_id,
                job.spec.name,
                job.state,
                job.submitted_ms,
                total.start_ms,
                job.ended_ms,
                total.attempts,
                total.held_ms,
                total.starting_ms,
                total.stopping_ms,
                total.why,
            )
            self._last = job_id
            self.held, self.capacity = self._held, self._capacity


def capacity_milli(cluster: Cluster) -> int:
    """Milli-GPU of the nodes that are not lost. O(nodes)."""
    nodes = cluster.nodes.values()
    return 1000 * sum(len(node.devices) for node in nodes if node.state is not NodeState.LOST)


def figures(seen: Observer, job_ids: list[JobId]) -> dict[str, float | None]:
    """What these jobs came to, with the cluster's utilisation. Seconds; None: nothing to tell."""
    lives = [seen.lives[job_id] for job_id in job_ids]
    jct, wait = (sorted(life.jct_ms for life in lives), sorted(life.wait_ms for life in lives))
    begin_ms = min((life.submit_ms for life in lives), default=0)
    end_ms = max((life.end_ms for life in lives), default=0)
    return {
        "jct_mean_s": sum(jct) / len(jct) / 1000 if jct else None,
        "jct_p95_s": quantile_s(jct, 95),
        "wait_mean_s": sum(wait) / len(wait) / 1000 if wait else None,
        "wait_p95_s": quantile_s(wait, 95),
        "makespan_s": (end_ms - begin_ms) / 1000 if lives else None,
        "gpu_util": seen.held / seen.capacity if seen.capacity else None,
        "restarts": sum(max(0, life.attempts - 1) for life in lives),
    }
