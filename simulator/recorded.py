"""What a journal recorded: who came and what happened to the nodes, and how much work each job was.

Events that the scheduler or a job's programs made are left out; `counterfactual` makes them anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median_low
from typing import NamedTuple

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.lost_work import held_milli
from aimass.core.model import Attempt, Exit, ExitReason, Goal, Job, JobId, Placement
from aimass.core.speeds import NORMAL_MICRO, speed_on
from aimass.simulator.observed import Observer

# Made by the scheduler, or by programs: all else comes from outside.
_MADE = (
    ev.Tick,
    ev.PlanCommitted,
    ev.PortReserved,
    ev.ShardStarted,
    ev.ShardExited,
    ev.CheckpointReported,
    ev.WorkReported,
)


ENDLESS = -1
SAVE_EVERY_MIN_MS = 1000  # each save is an event of the replay


class Leg(NamedTuple):
    """Work up to an end that the program itself made: exit, of this rank.

    work_ms: at normal speed; ENDLESS: somebody cancels it, or its limit ends it. early_ms: by how
    much each rank was gone before the last one, where all ended well: what it held may have been
    taken meanwhile by somebody whom whole nodes would have gone past.
    """

    work_ms: int
    exit: Exit = Exit()
    rank: int = 0
    early_ms: tuple[int, ...] = ()


class Delays(NamedTuple):
    """Medians over all attempts, in ms: from the order to start until every shard runs, of first
    attempts and of others; from the order to stop until the last shard has gone, and from the first
    shard to the last of those that were stopped; from that order to a checkpoint made on notice."""

    first_start_ms: int
    next_start_ms: int
    stop_ms: int
    stop_spread_ms: int = 0
    save_ms: int = 0


@dataclass(slots=True)
class Story:
    """One job: its legs, and how it saves its work.

    save_every_ms: 0: never by itself. saves_when_told: it answers a notice with a checkpoint.
    is_guessed: it had not ended, or never ran; its work is what it said, or the median of others.
    starts_ms, stops_ms: what these took of its attempts, by number.
    """

    legs: list[Leg] = field(default_factory=list)
    starts_ms: dict[int, int] = field(default_factory=dict)
    stops_ms: dict[int, int] = field(default_factory=dict)
    save_every_ms: int = 0
    saves_when_told: bool = False
    is_guessed: bool = False


@dataclass(slots=True)
class Recorded:
    """A journal, read. outside: the events that came from outside. tag: of its last plan."""

    seen: Observer
    outside: list[ev.Event]
    stories: dict[JobId, Story]
    delays: Delays
    tags: list[str]
    begin_ms: int
    end_ms: int

    @property
    def guessed(self) -> int:
        """Jobs of which it is not known how long they would have run."""
        return sum(story.is_guessed for story in self.stories.values())


def read(events: Iterable[ev.Event]) -> Recorded:
    """Fold a journal from its first event on. O(events) time, O(jobs + nodes' events) memory."""
    return _Fold().all(events)


class _Fold:
    def __init__(self) -> None:
        self._cluster = Cluster()
        self._seen = Observer(self._attempt_ended)
        self._stories: dict[JobId, Story] = {}
        self._partly: dict[JobId, int] = {}  # work that is saved of a leg that goes on
        self._saves: dict[JobId, list[int]] = {}  # when the running attempt saved
        self._cancelled: set[JobId] = set()
        self._ended: set[JobId] = set()  # those whose last attempt their programs ended
        self._first: list[int] = []
        self._next: list[int] = []
        self._stops: list[int] = []
        self._spreads: list[int] = []
        self._saved_after: list[int] = []

    def all(self, events: Iterable[ev.Event]) -> Recorded:
        cluster, tags, begin_ms = self._cluster, dict[str, None](), 0
        outside: list[ev.Event] = []
        for event in events:
            begin_ms = begin_ms or event.at_ms
            if isinstance(event, ev.PlanCommitted):
                tags[event.policy] = None
            elif isinstance(event, ev.CheckpointReported):
                self._saves.setdefault(event.job_id, []).append(event.at_ms - event.age_ms)
            elif isinstance(event, ev.JobCancelRequested):
                self._cancelled.add(event.job_id)
            if not isinstance(event, _MADE):
                outside.append(event)
            apply(cluster, event)
            self._seen.note(cluster, event)
        self._guess()
        starts = _median(self._first), _median(self._next or self._first)
        ends = _median(self._stops), _median(self._spreads), _median(self._saved_after)
        delays = Delays(*starts, *ends)
        outside = _while_there_are_jobs(outside, self._seen, cluster)
        seen, stories = self._seen, self._stories
        return Recorded(seen, outside, stories, delays, list(tags), begin_ms, cluster.now_ms)

    def _attempt_ended(self, cluster: Cluster, job: Job, attempt: Attempt) -> None:
        story = self._stories.setdefault(job.id, Story())
        saves = self._saves.pop(job.id, [])
        if attempt.running_ms:
            took_ms = attempt.running_ms - attempt.placed_ms
            story.starts_ms[attempt.number] = took_ms
            (self._first if attempt.number == 1 else self._next).append(took_ms)
        stopped = attempt.stop_goal is not None
        self._learn_saves(story, job, attempt, saves)
        own = _own_exit(attempt)
        speed = speed_micro(cluster, job, attempt.placements)
        if own is None:
            kept_ms = max(0, min(attempt.ended_ms, attempt.checkpoint_ms) - attempt.running_ms)
            kept_ms = kept_ms * speed // NORMAL_MICRO if attempt.running_ms else 0
            self._partly[job.id] = self._partly.get(job.id, 0) + kept_ms
        else:
            rank, how, exited_ms = own
            ran_ms = max(0, exited_ms - attempt.running_ms) if attempt.running_ms else 0
            work_ms = self._partly.pop(job.id, 0) + ran_ms * speed // NORMAL_MICRO
            early_ms = _early_ms(attempt) if how.is_success else ()
            story.legs.append(Leg(max(1, work_ms), how, rank, early_ms))
        self._ended.discard(job.id) if own is None else self._ended.add(job.id)
        if not stopped:
            return
        story.stops_ms[attempt.number] = attempt.ended_ms - attempt.stopping_ms
        if any(s.exit and s.exit.reason is ExitReason.STOPPED for s in attempt.shards):
            self._stops.append(attempt.ended_ms - attempt.stopping_ms)
            if len(attempt.shards) > 1:
                self._spreads.append(max(_early_ms(attempt)))

    def _learn_saves(self, story: Story, job: Job, attempt: Attempt, saves: list[int]) -> None:
        stop_ms = attempt.stopping_ms if attempt.stop_goal is not None else 0
        by_itself = [at_ms for at_ms in saves if not stop_ms or at_ms < stop_ms]
        if by_itself and attempt.running_ms:
            every_ms = (by_itself[-1] - attempt.running_ms) // len(by_itself)
            if every_ms > 0:  # one from before its start says nothing of how often
                story.save_every_ms = max(SAVE_EVERY_MIN_MS, every_ms)
        if stop_ms and attempt.running_ms:
            story.saves_when_told = len(by_itself) < len(saves)
            self._saved_after += [at_ms - stop_ms for at_ms in saves[len(by_itself) :][:1]]
        elif not stop_ms and not story.saves_when_told:
            story.saves_when_told = bool(job.spec.checkpoint.signal)

    def _guess(self) -> None:
        """Work for jobs whose own end is not recorded."""
        cluster, typical_ms = self._cluster, _median(_works(self._stories)) or 1
        lives = self._seen.lives
        everybody = [*lives, *(job.id for job in cluster.jobs.values() if job.id not in lives)]
        for job_id in everybody:
            story = self._stories.setdefault(job_id, Story())
            if job_id in lives and job_id in self._ended:
                continue
            job = cluster.jobs.get(job_id)
            limited = job is not None and (job.spec.walltime_ms or job.spec.deadline_ms)
            if job_id in self._cancelled or (limited and job_id in lives):
                story.legs.append(Leg(ENDLESS))
                continue
            story.is_guessed = True
            so_far_ms = self._partly.get(job_id, 0)
            if job is not None and job.state.is_active and job.current.running_ms:
                so_far_ms += cluster.now_ms - job.current.running_ms
            told_ms = job.spec.run_ms if job is not None else 0
            story.legs.append(Leg(max(so_far_ms, told_ms) or typical_ms))


def _while_there_are_jobs(
    outside: list[ev.Event], seen: Observer, cluster: Cluster
) -> list[ev.Event]:
    """Without what was done to the cluster when its last job was over: agents that were stopped.

    A simulated job may end a moment later than the live one did.
    """
    if len(seen.lives) < sum(isinstance(event, ev.JobSubmitted) for event in outside):
        return outside
    if any(not job.state.is_over for job in cluster.jobs.values()):
        return outside
    end_ms = max((life.end_ms for life in seen.lives.values()), default=0)
    return [event for event in outside if event.at_ms <= end_ms]


def _works(stories: dict[JobId, Story]) -> list[int]:
    return [story.legs[-1].work_ms for story in stories.values() if story.legs]


def _early_ms(attempt: Attempt) -> tuple[int, ...]:
    exits_ms = [shard.exited_ms for shard in attempt.shards]
    return tuple(max(exits_ms) - exited_ms for exited_ms in exits_ms)


def _own_exit(attempt: Attempt) -> tuple[int, Exit, int] | None:
    """The rank whose program ended the attempt, how and when; None: it was stopped from outside."""
    ends = [(s.exited_ms, rank, s.exit) for rank, s in enumerate(attempt.shards) if s.exit]
    if attempt.stop_goal is None or all(how.is_success for _, _, how in ends):
        last_ms, rank, how = max(ends, key=lambda end: end[:2])
        return rank, how, last_ms
    if attempt.stop_goal not in (Goal.FAIL, Goal.RETRY, Goal.HOLD):
        return None
    failed = [
        end
        for end in ends
        if not end[2].is_success
        and end[2].reason in (ExitReason.EXITED, ExitReason.OUT_OF_MEMORY, ExitReason.LAUNCH_FAILED)
        and end[0] <= attempt.stopping_ms
    ]
    if not failed:
        return None
    first_ms, rank, how = min(failed, key=lambda end: end[:2])
    return rank, how, first_ms


def speed_micro(cluster: Cluster, job: Job, placements: tuple[Placement, ...]) -> int:
    """How fast the gang is there, in millionths: as it was told; else as many times as it is large.

    A gang on several models is as fast as on the slowest.
    """
    nodes = cluster.nodes
    types = {nodes[p.node_id].devices[i].spec.model for p in placements for i in p.devices}
    gpus, count = sum(len(p.devices) for p in placements), len({p.node_id for p in placements})
    speeds = job.told.speeds or job.spec.speeds
    found = [speed for one in types if (speed := speed_on(speeds, one, gpus, count)) is not None]
    if found:
        return min(found)
    asked = job.spec.gpu_milli
    if job.spec.elastic_role < 0 or not asked:
        return NORMAL_MICRO
    return max(1, NORMAL_MICRO * held_milli(placements) // asked)


def _median(values: list[int]) -> int:
    return median_low(values) if values else 0
