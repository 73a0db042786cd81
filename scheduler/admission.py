"""Which specs are accepted: the queue allows it, its times can be met, its nodes could exist.

A job that no present nodes could hold, even idle, is refused with the largest that they could,
unless it says allow_future. While no node has joined all is accepted: a cluster starts empty.
"""

from dataclasses import replace

import grpc

from aimass.core.cluster import Cluster, FitKey, fit_of
from aimass.core.depends import dependency_problem
from aimass.core.explain import describe_need
from aimass.core.feasible import shards_when_empty
from aimass.core.field_words import with_flag
from aimass.core.model import Job, JobId, Node
from aimass.core.queue_problems import (
    admission_problem,
    closest,
    range_problem,
    staying_problem,
)
from aimass.core.spans import span_text
from aimass.core.spec import WHOLE_GPU_MILLI, JobSpec, Need, Role
from aimass.core.survey import survey
from aimass.core.text import amount_text, shards_text
from aimass.scheduler.errors import Refused, invalid, not_found

LATE_MS = 60_000  # so late a start is still "now": the request has travelled
KNOWN_MAX = 10_000  # answers kept


class Admission:
    """The checks, and a memory of what could never fit: a flood of one bad job costs one look."""

    def __init__(self) -> None:
        self._possible: dict[FitKey, None] = {}  # once; that nodes shrank makes nobody's job wrong
        self._impossible: dict[FitKey, Refused] = {}
        self._revision = -1  # Cluster.freed_revision of the answers in _impossible

    def forget(self) -> None:
        """The cluster was replaced."""
        self._possible.clear()
        self._impossible.clear()

    def admit(
        self, cluster: Cluster, spec: JobSpec, user: str, now_ms: int, of: Job | None = None
    ) -> None:
        """Accept the spec or raise Refused. of: the job that is to get it; None: a new one.

        O(1) for what is like a spec seen before, else O(roles * nodes).
        """
        _check_times(spec, now_ms, of)
        if of is not None and of.state.is_active:
            _check_ranges(cluster, spec, of.spec)
            problem = staying_problem(cluster, of, spec)
            if problem:
                raise invalid(problem, fix="requeue it first: massctl requeue JOB", id=of.id)
            return  # what else its queue takes, and where it fits, was settled when it started
        if of is None:
            problem = dependency_problem(cluster, spec)
            if problem:
                raise invalid(f"dependsOn (--after): {problem}", fix="change or leave out --after")
        if spec.queue not in cluster.queues:
            problem = f"there is no queue {spec.queue[:63]!r}{closest(spec.queue, cluster)}"
            raise not_found(problem, "see what there is: massctl queue ls", spec.queue)
        _check_ranges(cluster, spec)
        problem = admission_problem(cluster, spec, of)
        if problem:
            raise invalid(problem, fix=f"massctl queue show {spec.queue}", id=spec.queue)
        _check_levels(cluster, spec)
        if cluster.nodes and not spec.allow_future:
            self._check_fit(cluster, Job(JobId(""), 0, spec, user, "", now_ms))

    def _check_fit(self, cluster: Cluster, job: Job) -> None:
        fit = fit_of(job)
        if fit in self._possible:
            return
        if self._revision != cluster.freed_revision or len(self._impossible) >= KNOWN_MAX:
            self._impossible.clear()
            self._revision = cluster.freed_revision
        refused = self._impossible.get(fit) or _misfit(cluster, job)
        if refused is not None:
            self._impossible[fit] = refused
            raise refused
        if len(self._possible) >= KNOWN_MAX:
            self._possible.clear()
        self._possible[fit] = None


def _check_ranges(cluster: Cluster, spec: JobSpec, was: JobSpec | None = None) -> None:
    problem = range_problem(cluster, spec, was)
    if problem:
        fix = f"give --priority and -t TIME within that: massctl queue show {spec.queue}"
        raise invalid(problem, fix=fix, id=spec.queue)


def _check_times(spec: JobSpec, now_ms: int, of: Job | None) -> None:
    """Times to come; what a job already has may have passed meanwhile. Raises Refused."""
    was = of.spec if of is not None else None
    if spec.start_after_ms and (was is None or spec.start_after_ms != was.start_after_ms):
        late_ms = now_ms - spec.start_after_ms
        if late_ms > LATE_MS:
            raise invalid(
                f"{with_flag('startAfter')}: {span_text(late_ms)} in the past",
                fix="leave it out to start at once",
            )
    if spec.deadline_ms and (was is None or spec.deadline_ms != was.deadline_ms):
        begin_ms = _since_ms(of) or max(now_ms, spec.start_after_ms)
        short_ms = max(now_ms, begin_ms + spec.run_ms) - spec.deadline_ms
        if short_ms >= 0:
            raise invalid(
                f"{with_flag('deadline')}: the job cannot be over by then, it lacks "
                f"{span_text(short_ms + 1000)}",
                fix="give a later deadline, or a shorter run: --expected",
            )
    if of is not None and _since_ms(of) and spec.walltime_ms not in (0, of.spec.walltime_ms):
        run_ms = now_ms - _since_ms(of)
        if run_ms >= spec.walltime_ms:
            raise invalid(
                f"{of.id} has run for {span_text(run_ms)}: longer than the new time limit",
                fix=f"give a longer --time, or stop it: massctl cancel {of.id}",
                id=of.id,
            )


def _since_ms(of: Job | None) -> int:
    """Since when the job runs, in whatever sizes; 0: it does not."""
    return of.current.since_ms if of is not None and of.state.is_active else 0


def _check_levels(cluster: Cluster, spec: JobSpec) -> None:
    for field, level in (
        ("required", spec.topology.required),
        ("preferred", spec.topology.preferred),
    ):
        if level and level not in cluster.levels:
            known = ", ".join(cluster.levels) or "none; massd --levels names them"
            raise invalid(
                f"{with_flag(f'placement.topology.{field}')}: no level {level!r}",
                why=f"levels of this cluster: {known}",
                fix="use one of them, or leave it out",
            )


def _misfit(cluster: Cluster, job: Job) -> Refused | None:
    """Why no present nodes could hold the gang even if all were idle; None: they could."""
    domains = _domains(cluster, job.spec.topology.required)
    for role in job.spec.roles:
        asked = role.elastic.min_shards if role.elastic else role.shards
        most = max((_room(nodes, job, role.need, asked) for nodes in domains), default=0)
        if most < asked:
            return _too_large(cluster, job, role, asked, most)
    gpus = sum(len(node.devices) for node in cluster.nodes.values()) * WHOLE_GPU_MILLI
    least = sum(
        (role.elastic.min_shards if role.elastic else role.shards) * role.need.gpu_milli
        for role in job.spec.roles
    )
    if least > gpus:
        asks, has = amount_text("gpu", least), amount_text("gpu", gpus)
        what = f"all roles together ask for {asks}, the cluster has {has}"
        return _refusal(what, "", "fewer shards")
    return None


def _domains(cluster: Cluster, level: str) -> list[list[Node]]:
    """The nodes that a gang may share: those of each domain of the level, or all."""
    nodes = list(cluster.nodes.values())
    if not level:
        return [nodes]
    found: dict[str, list[Node]] = {}
    for node in nodes:
        if level in node.inventory.labels:
            found.setdefault(node.inventory.labels[level], []).append(node)
    return list(found.values())


def _room(nodes: list[Node], job: Job, need: Need, enough: int) -> int:
    """How many shards fit on idle nodes, counted up to `enough`."""
    total = 0
    for node in nodes:
        total += shards_when_empty(node, job, need)
        if total >= enough:
            break
    return min(total, enough)


def _too_large(cluster: Cluster, job: Job, role: Role, asked: int, most: int) -> Refused:
    """Say what is asked, why it cannot be, and the largest that could."""
    where = f" in one {level}" if (level := job.spec.topology.required) else ""
    needs = describe_need(role.need)
    what = (
        f"role {role.name}: {shards_text(asked)} of {needs} can never run{where}: "
        f"{f'at most {most} fit' if most else 'none fits'} on the present nodes, even idle"
    )
    if most:
        return _refusal(what, "", f"--shards {most}")
    model = _meant_model(cluster, role.need)
    if model:
        return _refusal(what, f"did you mean {model}?", f"--gpu-type {model}")
    smaller = _largest_need(cluster, job, role.need)
    if smaller:
        return _refusal(what, "", f"--gpus {smaller} per shard")
    refused = [refusal for fit in survey(cluster, job).fits for _, _, refusal in fit.refused]
    why = next((r.text for r in refused if not r.code.is_transient), "")
    return _refusal(what, why, "ask for what massctl nodes -o wide shows")


def _largest_need(cluster: Cluster, job: Job, need: Need) -> int:
    """The most whole GPUs that one shard could have, all else as asked; 0: that does not help."""
    most = max((len(node.devices) for node in cluster.nodes.values()), default=0)
    for gpus in range(min(most, need.gpu_milli // WHOLE_GPU_MILLI - 1), 0, -1):
        less = replace(need, gpu_milli=gpus * WHOLE_GPU_MILLI)
        if any(shards_when_empty(node, job, less) for node in cluster.nodes.values()):
            return gpus
    return 0


def _meant_model(cluster: Cluster, need: Need) -> str:
    """A model that is there and has the word that was asked in its name; empty: none, or no need.

    O(devices).
    """
    there = {d.spec.model for node in cluster.nodes.values() for d in node.devices}
    if there.intersection(need.gpu_types):
        return ""
    asked = [model.lower() for model in need.gpu_types]
    near = [model for model in there if any(word in model.lower() for word in asked)]
    return min(
        near, key=lambda model: (not model.lower().startswith(tuple(asked)), model), default=""
    )


def _refusal(what: str, why: str, smaller: str) -> Refused:
    fix = f"{smaller}, or --allow-future to wait for nodes that can"
    return Refused(grpc.StatusCode.OUT_OF_RANGE, what, why=why, fix=fix)
