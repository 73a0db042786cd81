"""What allotters read of a cluster: who is alive, what each holds and needs, and what there is.

An allotter (core/allot.py) sees nothing else, so what it decides can be tried on values made by
hand. GPUs are whole ones: a share of one counts as one. Who leaves counts as gone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.lost_work import RESTART_MS, lost_ms
from aimass.core.model import Goal, Job, JobId, JobState, Placement
from aimass.core.policy import Want
from aimass.core.runtimes import run_estimate
from aimass.core.spec import JobSpec
from aimass.core.speeds import NORMAL_MICRO, Speeds, Told
from aimass.policies.allot_nodes import models_of, on_closed, set_aside, takes_jobs
from aimass.policies.allot_speeds import Levels, Model, levels_of

UNKNOWN = -1
_MIRROR = "allot-levels"  # see NodeIndex.mirrors
_SLACK = 1024  # levels kept of jobs that are over


class Held(NamedTuple):
    """GPUs of one model: `model` is its index in View.models."""

    model: int
    gpus: int


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A job that waits for GPUs or holds some that may be taken from it. Times in ms.

    levels: by model, see allot_speeds. has: what it holds, or owns and will hold; None: nothing.
    is_fixed: it was started so lately, or is on its way, that it keeps what it has; until free_ms,
    or 0 where events will tell. left_ms: work left at normal speed; UNKNOWN: nobody knows.
    had_gpu_ms: GPU time that it has had. worked_ms: work done, at normal speed. restart_ms: what
    stopping it now, or resizing it, costs it: work lost and the time until it goes on. due_ms: when
    it should be over; 0: whenever. is_learning: it is elastic, and its program measures speeds.
    level: of the topology, one domain of which must hold it.
    """

    id: JobId
    seq: int
    queue: str
    priority: int
    levels: tuple[Levels, ...]
    sizes: tuple[int, ...]
    normal_gpus: int
    has: Held | None = None
    is_fixed: bool = False
    free_ms: int = 0
    left_ms: int = UNKNOWN
    had_gpu_ms: int = 0
    worked_ms: int = 0
    submitted_ms: int = 0
    restart_ms: int = 0
    restarts: int = 0
    due_ms: int = 0
    elastic_role: int = -1
    shard_gpus: int = 1
    is_learning: bool = False
    level: str = ""

    def fits(self, models: Sequence[Model]) -> bool:
        """True when the least size fits on all GPUs of some model."""
        return any(
            levels and levels[0][0] <= model.gpus
            for levels, model in zip(self.levels, models, strict=True)
        )

    def speed(self, held: Held) -> int:
        """Its speed there, in millionths; that of the next smaller level where there is none."""
        speed = 0
        for gpus, micro in self.levels[held.model]:
            if gpus > held.gpus:
                break
            speed = micro
        return speed

    def want(self, view: "View", held: Held) -> Want:
        """The form in which it is to run with these GPUs."""
        sizes, role = self.sizes, self.elastic_role
        if role >= 0:
            more = (held.gpus - self.normal_gpus) // self.shard_gpus
            sizes = tuple(n + more if i == role else n for i, n in enumerate(sizes))
        return Want(sizes, (view.models[held.model].name,), self.level)


@dataclass(frozen=True, slots=True)
class View:
    """The cluster as an allotter sees it.

    models: with the GPUs that may be given out, those that live jobs hold among them. jobs: by
    submission. as_asked: those that no choice of one model and size is about, each with the form in
    which it is to run: they need no GPUs, or some of several models. taken: by queue, GPUs of jobs
    that may not be stopped.
    leaving: jobs that were stopped for others and will wait again once they are gone.
    """

    now_ms: int
    models: tuple[Model, ...]
    jobs: tuple[LiveJob, ...]
    as_asked: tuple[tuple[JobId, Want], ...] = ()
    weights: dict[str, int] = field(default_factory=dict)  # of queues; others count 1
    leaving: tuple[LiveJob, ...] = ()
    taken: dict[str, int] = field(default_factory=dict)


def view_of(
    cluster: Cluster, has_work: bool = True, without: frozenset[JobId] = frozenset()
) -> View:
    """Read the cluster. O(live jobs * (attempts kept + shards)), and O(devices) if a node changed.

    has_work: False where nobody asks for work left and done, which takes half of the time. without:
    jobs to leave out.
    """
    memory = _memory(cluster)
    models = memory.models
    index = {model.name: i for i, model in enumerate(models)}
    left = [model.gpus for model in models]
    jobs: list[LiveJob] = []
    as_asked: list[tuple[JobId, Want]] = []
    taken: dict[str, int] = {}
    for job in _live(cluster):
        if job.id in without:
            continue
        has = _has(cluster, job, index)
        if has is not None and memory.has_closed:
            left[has.model] += on_closed(cluster, job)
        if job.state.is_active and not job.spec.preemptible:
            if has is not None:
                left[has.model] -= has.gpus
                taken[job.spec.queue] = taken.get(job.spec.queue, 0) + has.gpus
            continue
        live = memory.live_job(cluster, job, has, models, has_work) if _gpus(job.spec) else None
        if live is not None and live.fits(models):
            jobs.append(live)
            continue
        if has is not None:
            left[has.model] -= has.gpus
        if live is None or has is not None or set_aside(job.spec, models, left):
            sizes = tuple(role.shards for role in job.spec.roles)
            as_asked.append((job.id, Want(sizes, level=job.spec.topology.required)))
    models = tuple(m._replace(gpus=max(0, n)) for m, n in zip(models, left, strict=True))
    weights = {name: queue.spec.weight for name, queue in cluster.queues.items()}
    leaving = tuple(
        _live_job(cluster, job, None, models, memory, has_work) for job in _leaving(cluster)
    )
    return View(cluster.now_ms, models, tuple(jobs), tuple(as_asked), weights, leaving, taken)


def _live(cluster: Cluster) -> Iterable[Job]:
    """Waiting jobs, and active ones that stay or come back at once, by submission."""
    ids = {*cluster.waiting.ids(), *cluster.claims}
    active = (i for i, j in cluster.active.items() if j.state is not JobState.STOPPING)
    return sorted((cluster.jobs[i] for i in ids.union(active)), key=_submit_seq)


def _leaving(cluster: Cluster) -> Iterable[Job]:
    for job in cluster.active.values():
        makes_way = job.current.stop_goal in (Goal.PREEMPT, Goal.REQUEUE)
        if makes_way and job.id not in cluster.claims and _gpus(job.spec):
            yield job


def _submit_seq(job: Job) -> int:
    return job.submit_seq


def _gpus(spec: JobSpec) -> int:
    """GPUs of the gang as it is asked for; a share counts as a whole one."""
    return sum(role.shards * role.need.devices for role in spec.roles)


def _has(cluster: Cluster, job: Job, index: dict[str, int]) -> Held | None:
    """What the job holds, or will when it goes on. O(shards)."""
    claim = cluster.claims.get(job.id)
    if claim is not None:
        placements = claim.placements
    elif job.state.is_active:
        placements = job.current.placements
    else:
        return None
    return _held(cluster, placements, index)


def _held(
    cluster: Cluster, placements: tuple[Placement, ...], index: dict[str, int]
) -> Held | None:
    gpus = sum(len(placement.devices) for placement in placements)
    first = next((placement for placement in placements if placement.devices), None)
    if first is None:
        return None
    model = cluster.nodes[first.node_id].devices[first.devices[0]].spec.model
    return Held(index[model], gpus) if model in index else None


def _live_job(
    cluster: Cluster,
    job: Job,
    has: Held | None,
    models: tuple[Model, ...],
    memory: "_Memory",
    has_work: bool,
) -> LiveJob:
    spec = job.spec
    role = spec.elastic_role
    levels = memory.levels(job, models)
    done = _done(cluster, job, levels, models) if has_work else _NOTHING
    free_ms = _free_ms(job)
    return LiveJob(
        job.id,
        job.submit_seq,
        spec.queue,
        spec.priority,
        levels,
        tuple(r.shards for r in spec.roles),
        _gpus(spec),
        has,
        has is not None and (job.id in cluster.claims or cluster.now_ms < free_ms),
        free_ms,
        _left_ms(cluster, job, done, has, levels) if has_work else UNKNOWN,
        done.gpu_ms,
        done.work_ms,
        job.submitted_ms,
        _restart_ms(cluster, job),
        max(0, job.attempt - 1),
        spec.due_ms or spec.deadline_ms,
        role,
        spec.roles[role].need.devices if role >= 0 else 1,
        role >= 0 and (bool(job.told.speeds) or not spec.speeds),
        spec.topology.required,
    )


def _free_ms(job: Job) -> int:
    """Until when the active job keeps what it has; 0: it does not."""
    if not job.state.is_active:
        return 0
    elastic = next((r.elastic for r in job.spec.roles if r.elastic is not None), None)
    for_ms = max(elastic.interval_ms if elastic else 0, job.spec.preemption.min_runtime_ms)
    return (job.current.running_ms or job.current.placed_ms) + for_ms if for_ms else 0


def _restart_ms(cluster: Cluster, job: Job) -> int:
    """What a stop or a resize costs the job: what is lost, and the time until it goes on."""
    elastic = next((r.elastic for r in job.spec.roles if r.elastic is not None), None)
    cost_ms = elastic.cost_ms if elastic is not None else RESTART_MS
    if job.state.is_active and not job.spec.checkpoint.signal:
        cost_ms += lost_ms(job, cluster.now_ms)
    return cost_ms


class _Done(NamedTuple):
    """GPU time that a job has had, and the work that it has kept, at normal speed."""

    gpu_ms: int
    work_ms: int


_NOTHING = _Done(0, 0)


def _done(
    cluster: Cluster, job: Job, levels: tuple[Levels, ...], models: tuple[Model, ...]
) -> _Done:
    """Sum over the attempts that the job keeps; of older ones only the time is known. O(shards)."""
    elastic = next((r.elastic for r in job.spec.roles if r.elastic is not None), None)
    index = {model.name: i for i, model in enumerate(models)}
    gpu_ms = work_ms = kept_ms = 0
    for attempt in job.attempts:
        if not attempt.running_ms:
            continue
        ran_ms = (attempt.ended_ms or cluster.now_ms) - attempt.running_ms
        held = _held(cluster, attempt.placements, index)
        gpus = held.gpus if held is not None else 0
        gpu_ms += ran_ms * gpus
        if attempt.ended_ms:
            kept_ms += ran_ms
            ran_ms = min(ran_ms, max(0, attempt.checkpoint_ms - attempt.running_ms))
        if elastic is not None and attempt.number > 1:
            ran_ms = max(0, ran_ms - elastic.cost_ms)
        work_ms += ran_ms * _speed(levels, held) // NORMAL_MICRO
    older_ms = max(0, job.ran_ms - kept_ms)
    if older_ms and kept_ms:
        work_ms += work_ms * older_ms // kept_ms
        gpu_ms += gpu_ms * older_ms // kept_ms
    return _Done(gpu_ms, work_ms)


def _speed(levels: tuple[Levels, ...], held: Held | None) -> int:
    if held is None:
        return NORMAL_MICRO
    found = [micro for gpus, micro in levels[held.model] if gpus <= held.gpus]
    return found[-1] if found else NORMAL_MICRO


def _left_ms(
    cluster: Cluster, job: Job, done: _Done, has: Held | None, levels: tuple[Levels, ...]
) -> int:
    """Work left at normal speed: as its program told, less what it did since; else as estimated."""
    if job.told.left_ms >= 0:
        left_ms = job.told.left_ms
        if job.state.is_active and job.current.running_ms:
            since_ms = max(job.told.at_ms, _works_from_ms(job))
            worked_ms = max(0, cluster.now_ms - since_ms)
            left_ms -= worked_ms * _speed(levels, has) // NORMAL_MICRO
        return max(1, left_ms)
    run_ms, _, is_known = run_estimate(cluster, job)
    return max(1, run_ms - done.work_ms) if is_known else UNKNOWN


def _works_from_ms(job: Job) -> int:
    """From when the running attempt goes on with its work; an elastic job says what that takes."""
    elastic = next((r.elastic for r in job.spec.roles if r.elastic is not None), None)
    is_again = elastic is not None and job.attempt > 1
    return job.current.running_ms + (elastic.cost_ms if elastic is not None and is_again else 0)


class _Memory:
    """What jobs of one cluster come to, with what it rests on. Losing it costs making it again."""

    __slots__ = ("_kept", "_puts", "_waiting", "has_closed", "models")

    def __init__(self) -> None:
        self.models: tuple[Model, ...] = ()
        self.has_closed = False  # some nodes take no jobs
        self._puts = -1
        self._kept: dict[JobId, tuple[JobSpec, Speeds, tuple[Levels, ...]]] = {}
        self._waiting: dict[JobId, tuple[JobSpec, Told, int, bool, LiveJob]] = {}

    def begin(self, cluster: Cluster) -> None:
        """Forget what rests on other nodes, and jobs that are over when they are many."""
        puts, models = cluster.index.totals.puts, self.models
        if puts != self._puts:
            self._puts, models = puts, models_of(cluster)
            self.has_closed = not all(map(takes_jobs, cluster.nodes.values()))
        many = 2 * (len(cluster.waiting) + len(cluster.active)) + _SLACK
        if models != self.models or len(self._kept) > many:
            self.models, self._kept, self._waiting = models, {}, {}

    def live_job(
        self,
        cluster: Cluster,
        job: Job,
        has: Held | None,
        models: tuple[Model, ...],
        has_work: bool,
    ) -> LiveJob:
        """The job; while it waits, and says how long it runs, the one that was made before."""
        spec = job.spec
        if has is not None or not spec.run_ms or spec.deadline_ms:
            return _live_job(cluster, job, has, models, self, has_work)
        rests_on = (spec, job.told, job.queued_ms, has_work)
        kept = self._waiting.get(job.id)
        if kept is None or kept[0] is not spec or kept[1:4] != rests_on[1:]:
            kept = (*rests_on, _live_job(cluster, job, has, models, self, has_work))
            self._waiting[job.id] = kept
        return kept[4]

    def levels(self, job: Job, models: tuple[Model, ...]) -> tuple[Levels, ...]:
        """By model, made again when the spec or what the program measured is another."""
        speeds = job.told.speeds or job.spec.speeds
        kept = self._kept.get(job.id)
        if kept is not None and kept[0] is job.spec and kept[1] is speeds:
            return kept[2]
        levels = _levels(job.spec, speeds, models)
        self._kept[job.id] = (job.spec, speeds, levels)
        return levels


def _memory(cluster: Cluster) -> _Memory:
    memory = cluster.index.mirrors.get(_MIRROR)
    if not isinstance(memory, _Memory):
        memory = cluster.index.mirrors[_MIRROR] = _Memory()
    memory.begin(cluster)
    return memory


def _levels(spec: JobSpec, speeds: Speeds, models: tuple[Model, ...]) -> tuple[Levels, ...]:
    """Levels of models that will do for every role with GPUs; none of the others."""
    asked = _gpus(spec)
    sizes = [asked]
    if spec.elastic_role >= 0:
        role = spec.roles[spec.elastic_role]
        assert role.elastic is not None
        each, fixed = role.need.devices, asked - role.shards * role.need.devices
        sizes = [fixed + each * n for n in role.elastic.sizes(role.elastic.max_shards)[::-1]]
    named = [set(r.need.gpu_types) for r in spec.roles if r.need.has_gpu and r.need.gpu_types]
    found = levels_of(speeds, models, sizes, asked)
    return tuple(
        levels if all(model.name in types for types in named) else ()
        for model, levels in zip(models, found, strict=True)
    )
