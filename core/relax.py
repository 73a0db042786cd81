"""relax(trial, job): the smallest changes that would let a waiting job start now, the least first.

None is guessed: each is tried on the draft, by the search that decides. What is listed is what
`massctl update` can do to a queued job, which keeps its place in the order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from aimass.core.cluster import Cluster
from aimass.core.feasible import Code
from aimass.core.model import Job, JobId, JobState
from aimass.core.plan import Stop
from aimass.core.queue_problems import admission_problem
from aimass.core.runtimes import run_estimate
from aimass.core.spans import span_text
from aimass.core.spec import Elastic, JobSpec, Role, Topology
from aimass.core.spec_problems import problems
from aimass.core.text import shards_text
from aimass.core.trial import Trial, as_updated
from aimass.core.turned import Turned
from aimass.core.windows import admits, next_overlap
from aimass.core.words import some

CHANGES_MAX = 5
TRIED_MAX = 4  # of one kind where there may be many: models, queues, priorities
MINUTE_MS = 60_000
LIMIT_MS_MAX = 30 * 24 * 60 * MINUTE_MS  # who would run for longer gives no limit to start sooner


@dataclass(frozen=True, slots=True)
class Change:
    """A change with which the job would start now, and the command that makes it.

    kind: a stable word. stops: of others, who would have to leave first. dropped: jobs that own
    places and would lose them.
    """

    kind: str
    text: str
    command: str
    spec: JobSpec
    stops: tuple[Stop, ...] = ()
    dropped: tuple[JobId, ...] = ()


@dataclass(frozen=True, slots=True)
class _Idea:
    """A change to try. flags: of `massctl update`."""

    kind: str
    text: str
    flags: str
    spec: JobSpec
    may_take: bool = False


def relax(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> list[Change]:
    """At most CHANGES_MAX changes that were tried and work, in order of least intrusion.

    turned: why the job itself cannot start; None when the nodes would have it. O(ideas)
    placements, and for a raised priority O(active jobs).
    """
    found: list[Change] = []
    if job.unmet:
        return found
    if job.state is JobState.HELD or job.not_before_ms > cluster.now_ms:
        return _let_go(trial, cluster, job)
    if turned is None:
        return found
    for kind in _KINDS:
        works = (_try(trial, cluster, job, idea) for idea in kind(trial, cluster, job, turned))
        first = next((change for change in works if change is not None), None)
        found += [first] if first is not None else []
        if len(found) == CHANGES_MAX or not trial.fuel.left:
            break
    return found


def _try(trial: Trial, cluster: Cluster, job: Job, idea: _Idea) -> Change | None:
    other = as_updated(job, idea.spec)
    if next(problems(idea.spec), None) is not None or trial.is_passed_over(other):
        return None
    if admission_problem(cluster, idea.spec, job):
        return None
    tried = trial.attempt(other, idea.may_take)
    if tried.turned is not None:
        return None
    command = f"massctl update {job.id} {idea.flags}"
    return Change(idea.kind, idea.text, command, idea.spec, tried.stops, tried.dropped)


def _let_go(trial: Trial, cluster: Cluster, job: Job) -> list[Change]:
    """What keeps the job is a hold or its hour: would it start without?"""
    if trial.is_passed_over(job) or trial.attempt(job).turned is not None:
        return []
    if job.state is JobState.HELD:
        if job.not_before_ms > cluster.now_ms:
            return []
        return [Change("RELEASE", "released", f"massctl release {job.id}", job.spec)]
    if job.not_before_ms != job.spec.start_after_ms:
        return []  # a back-off: nothing of the spec would end it
    spec = replace(job.spec, start_after_ms=0)
    return [Change("BEGIN", "without a start time", f"massctl update {job.id} --begin none", spec)]


_Ideas = Iterator[_Idea]


def _topology(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    asks = job.spec.topology
    if asks.preferred and asks.wait_ms:
        spec = replace(job.spec, topology=replace(asks, wait_ms=0))
        text = f"without waiting for one {asks.preferred}"
        yield _Idea("TOPOLOGY", text, f"--prefer-topology {asks.preferred}", spec)
    if not asks.required:
        return
    levels = list(cluster.levels)
    at = levels.index(asks.required) if asks.required in levels else 0
    for level in levels[:at][::-1]:
        spec = replace(job.spec, topology=Topology(level))
        yield _Idea("TOPOLOGY", f"within one {level}", f"--topology {level}", spec)
    spec = replace(job.spec, topology=Topology())
    yield _Idea("TOPOLOGY", f"not all within one {asks.required}", "--topology none", spec)


def _gpu_type(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    asked = {role.need.gpu_types for role in job.spec.roles if role.need.has_gpu}
    if len(asked) != 1 or not (types := asked.pop()):
        return
    models = sorted({d.spec.model for n in cluster.nodes.values() for d in n.devices})
    for model in [m for m in models if m not in types][:TRIED_MAX]:
        more = (*types, model)
        roles = tuple(
            replace(role, need=replace(role.need, gpu_types=more)) if role.need.has_gpu else role
            for role in job.spec.roles
        )
        flags = " ".join(f"--gpu-type {m}" for m in more)
        yield _Idea("GPU_TYPE", f"also on {model}", flags, replace(job.spec, roles=roles))


def _rules(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    spec = job.spec
    if spec.exclude_nodes:
        yield _Idea("EXCLUDE", "on any node", "--exclude none", replace(spec, exclude_nodes=()))
    required = [rule for rule in spec.affinity if not rule.weight]
    if required:
        rest = tuple(rule for rule in spec.affinity if rule.weight)
        yield _Idea(
            "AFFINITY", "without its label rules", "--affinity none", replace(spec, affinity=rest)
        )
    if spec.node_selector:
        names = ", ".join(f"{k}={v}" for k, v in sorted(spec.node_selector.items()))
        text = f"on nodes without {names}"
        yield _Idea("SELECTOR", text, "--select none", replace(spec, node_selector={}))
    if spec.exclusive_node:
        text = "beside other jobs on its nodes"
        yield _Idea("EXCLUSIVE", text, "--not-exclusive", replace(spec, exclusive_node=False))


def _limit(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    """A run that ends before what is promised to others, or before a reservation begins."""
    if turned is None or turned.refusal.code not in (Code.PROMISED, Code.WINDOW):
        return
    now_ms = cluster.now_ms
    run_ms = run_estimate(cluster, job)[0]
    begins = {p.start_ms for p in trial.behind(job).promises.values()}
    for window in cluster.windows.values():
        span = next_overlap(window, now_ms, now_ms + run_ms)
        if span is not None and not admits(cluster, window, job):
            begins.add(span[0])
    limits = {_round_down(at_ms - now_ms - MINUTE_MS) for at_ms in begins}
    for limit_ms in sorted(limits, reverse=True)[: 2 * TRIED_MAX]:
        if 0 < limit_ms < run_ms and limit_ms <= LIMIT_MS_MAX:
            text = f"with a time limit of {span_text(limit_ms)}"
            flags = f"--time {limit_ms // 1000}s"
            if limit_ms % MINUTE_MS == 0:
                flags = f"--time {limit_ms // MINUTE_MS}m"
            yield _Idea("TIME_LIMIT", text, flags, replace(job.spec, walltime_ms=limit_ms))


def _round_down(span_ms: int) -> int:
    """To whole minutes, below one to ten seconds: nobody types less."""
    step_ms = MINUTE_MS if span_ms >= MINUTE_MS else 10_000
    return span_ms // step_ms * step_ms


def _shards(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    """The largest smaller size that starts, by halving: what holds many holds fewer."""
    index = max(0, job.spec.elastic_role)
    role = job.spec.roles[index]
    if job.spec.elastic_role < 0 and len(job.spec.roles) > 1:
        return
    low, high = 0, role.least  # low starts, high does not
    while high - low > 1:
        middle = (low + high) // 2
        spec = _with_role(job.spec, index, _smaller(role, middle))
        is_fit = trial.attempt(as_updated(job, spec)).turned is None
        low, high = (middle, high) if is_fit else (low, middle)
    if not low:
        return
    spec = _with_role(job.spec, index, _smaller(role, low))
    if role.elastic is None:
        text = f"with {shards_text(low)} instead of {role.shards}"
        yield _Idea("SHARDS", text, f"--shards {low}", spec)
    else:
        sizes = f"{low}-{role.elastic.max_shards}:{role.elastic.step}"
        text = f"if {shards_text(low)} were enough to begin with"
        yield _Idea("SHARDS", text, f"--elastic {sizes}", spec)


def _smaller(role: Role, shards: int) -> Role:
    if role.elastic is None:
        return replace(role, shards=shards)
    old = role.elastic
    elastic = Elastic(shards, old.max_shards, old.step, old.cost_ms, old.interval_ms)
    return replace(role, elastic=elastic)


def _with_role(spec: JobSpec, index: int, role: Role) -> JobSpec:
    return replace(spec, roles=(*spec.roles[:index], role, *spec.roles[index + 1 :]))


def _queue(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    if turned is None or not (turned.is_quota or turned.refusal.code is Code.QUOTA_RESERVE):
        return
    parents = {queue.spec.parent for queue in cluster.queues.values()}
    count = 0
    for name in cluster.queues:
        if name in parents or name == job.spec.queue:
            continue
        count += 1
        if count > 2 * TRIED_MAX:
            return
        yield _Idea("QUEUE", f"in queue {name}", f"--queue {name}", replace(job.spec, queue=name))


def _preemptible(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    if turned is not None and turned.refusal.code in (Code.QUOTA_FIRM, Code.QUOTA_RESERVE):
        text = "if others may take its place"
        yield _Idea("PREEMPTIBLE", text, "--preemptible", replace(job.spec, preemptible=True))


def _priority(trial: Trial, cluster: Cluster, job: Job, turned: Turned | None) -> _Ideas:
    """The lowest priority that is enough, to go first or to take somebody's place."""
    own, queue = job.spec.priority, cluster.queues[job.spec.queue].spec
    held = {
        other.spec.priority
        for other in cluster.active.values()
        if other.spec.queue == job.spec.queue and other.spec.preemptible
    }
    promised = list(trial.behind(job).promises)
    ahead = {cluster.jobs[i].spec.priority for i in promised}
    steps = [p + 1 for p in sorted(held | ahead) if own < p + 1 <= queue.priority_max]
    for priority in steps[:TRIED_MAX]:
        spec = replace(job.spec, priority=priority)
        passed = [i for i in promised if cluster.jobs[i].spec.priority < priority]
        text = f"with priority {priority}" + (f", ahead of {some(passed)}" if passed else "")
        yield _Idea("PRIORITY", text, f"--priority {priority}", spec, True)


_Kind = Callable[[Trial, Cluster, Job, Turned | None], _Ideas]
_KINDS: tuple[_Kind, ...] = (
    *(_topology, _gpu_type, _rules, _limit),
    *(_shards, _queue, _preemptible, _priority),
)
