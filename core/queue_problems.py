"""What makes a queue impossible, or surprising; and which jobs it does not take. For the edge."""

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId
from aimass.core.queues import DEFAULT, ROOT, Amounts, Cell, Queue, QueueSpec, effective, link
from aimass.core.quota import is_beyond_firm
from aimass.core.reserves import Cells, cell_text, lost_by_staying, stays, when_idle
from aimass.core.spans import span_text
from aimass.core.spec import JobSpec
from aimass.core.spec_problems import AMOUNT_MAX, PRIORITY_ABS_MAX, SPAN_MS_MAX, Problem
from aimass.core.text import amount_text
from aimass.core.wants import amounts_asked, forms, sized

QUEUES_MAX = 1000
DEPTH_MAX = 8  # queues from ROOT down to the deepest
WEIGHT_MAX = 1_000_000
COUNT_MAX = 1_000_000
KEYS_MAX = 1000  # resources that one table names
CELLS_MAX = 20  # shapes that one queue has in reserve
GPUS_MAX = 1000  # of one node

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_KEY = re.compile(r"(?:gpu|cpu|memory|gpu:[^\s,=\0]{1,100})\Z")
_TABLES = ("quota", "limit", "borrow_limit", "lend_limit", "job_limit")


def queue_problems(cluster: Cluster, spec: QueueSpec) -> Iterator[Problem]:
    """Yield (field, what is wrong and what is allowed) of a queue to be made or changed."""
    if not _NAME.match(spec.name):
        yield "name", f"{spec.name[:40]!r}: letters, digits, '.', '_', '-'; 1 to 63 characters"
        return
    found = [*_plain_problems(spec), *_amount_problems(spec), *_reserve_problems(cluster, spec)]
    place = list(_place_problems(cluster, spec))
    yield from (*found, *place)
    if not found and not place:
        yield from _sum_problems(cluster, spec)


def _plain_problems(spec: QueueSpec) -> Iterator[Problem]:
    if not 1 <= spec.weight <= WEIGHT_MAX:
        yield "weight", f"{spec.weight}: 1 to {WEIGHT_MAX}"
    for name in ("max_jobs", "max_queued"):
        if not 0 <= getattr(spec, name) <= COUNT_MAX:
            yield name, f"{getattr(spec, name)}: 0 (any number) to {COUNT_MAX}"
    for name in ("max_walltime_ms", "min_runtime_ms", "half_life_ms"):
        if not 0 <= getattr(spec, name) <= SPAN_MS_MAX:
            yield name, f"0 to {span_text(SPAN_MS_MAX)}"
    if spec.name != ROOT and spec.half_life_ms != QueueSpec(ROOT).half_life_ms:
        yield "half_life_ms", f"one for all queues: massctl queue put {ROOT} --half-life ..."
    if spec.priority_min > spec.priority_max:
        yield "priority_min", f"{spec.priority_min}:{spec.priority_max}: the lower goes first"
    if max(abs(spec.priority_min), abs(spec.priority_max)) > PRIORITY_ABS_MAX:
        yield "priority_max", f"priorities: -{PRIORITY_ABS_MAX} to {PRIORITY_ABS_MAX}"


def _amount_problems(spec: QueueSpec) -> Iterator[Problem]:
    for table in _TABLES:
        if len(getattr(spec, table)) > KEYS_MAX:
            yield table, f"{len(getattr(spec, table))} resources: at most {KEYS_MAX}"
            continue
        for key, amount in sorted(getattr(spec, table).items()):
            if not _KEY.match(key):
                yield f"{table}.{key[:40]}", "unknown: gpu, gpu:MODEL, cpu or memory"
            elif not 0 <= amount <= AMOUNT_MAX:
                yield f"{table}.{key}", f"{amount}: 0 to {AMOUNT_MAX}"
    models = sum(amount for key, amount in spec.quota.items() if key.startswith("gpu:"))
    if "gpu" in spec.quota and models > spec.quota["gpu"]:
        least = amount_text("gpu", models)
        yield "quota.gpu", f"below the quotas by model, which make {least} together"


def _reserve_problems(cluster: Cluster, spec: QueueSpec) -> Iterator[Problem]:
    """What is wrong with each cell, and with all of them together."""
    if spec.reserve and spec.name == ROOT:
        yield "reserve", "every queue is below root: there is nobody to keep it from"
    if spec.reserve and not spec.reclaim:
        yield "reserve", "it takes its cells back from who borrows them: not with --no-reclaim"
    if len(spec.reserve) > CELLS_MAX:
        yield "reserve", f"{len(spec.reserve)} shapes: at most {CELLS_MAX}"
        return
    shapes = set()
    for cell in spec.reserve:
        shape = replace(cell, count=1)
        if shape in shapes:
            yield "reserve", f"{cell_text(cell)[:120]} is named twice: add up the counts"
        shapes.add(shape)
        yield from (("reserve", text) for text in _cell_problems(cluster, cell))


def _cell_problems(cluster: Cluster, cell: Cell) -> Iterator[str]:
    if not _KEY.match(f"gpu:{cell.model}"):
        yield f"{cell.model[:40]!r} is no GPU model"
    for number, most, what in (
        (cell.gpus, GPUS_MAX, "GPUs of a node"),
        (cell.shards, COUNT_MAX, "shards of a cell"),
        (cell.count, COUNT_MAX, "cells"),
    ):
        if not 1 <= number <= most:
            yield f"{number} {what}: 1 to {most}"
    if cell.shards > 1 and not cell.level:
        yield f"{cell.shards} shards are in one domain of a level: add {_example(cluster)}"
    if cell.shards == 1 and cell.level:
        yield f"one shard is on one node: leave out @{cell.level[:63]}"
    elif cell.level and cell.level not in cluster.levels:
        known = ", ".join(cluster.levels) or "none"
        yield f"the topology has no level {cell.level[:63]!r}; it has {known}"


def _example(cluster: Cluster) -> str:
    return f"@{cluster.levels[-1]}" if cluster.levels else "@rack; the topology has no levels yet"


def _place_problems(cluster: Cluster, spec: QueueSpec) -> Iterator[Problem]:
    queues = cluster.queues
    old = queues.get(spec.name)
    if spec.name == ROOT or spec.name == DEFAULT:
        top = "" if spec.name == ROOT else ROOT
        if spec.parent != top:
            yield "parent", f"queue {spec.name} stays where it is"
        for table in ("borrow_limit", "lend_limit") if spec.name == ROOT else ():
            if getattr(spec, table):
                yield table, "above root there is nobody to borrow from, or to lend to"
        return
    if spec.parent not in queues:
        yield "parent", f"there is no queue {spec.parent[:63]!r}{closest(spec.parent, cluster)}"
        return
    if old is None and len(queues) >= QUEUES_MAX:
        yield "name", f"there are {len(queues)} queues: at most {QUEUES_MAX}"
    way = queues[spec.parent].tree.chain
    if any(queue.spec.name == spec.name for queue in way):
        yield "parent", f"{spec.parent} is below {spec.name} itself: that would be a cycle"
        return
    if old is not None and old.spec.parent != spec.parent and old.active + old.queued:
        jobs = old.active + old.queued
        yield "parent", f"it has {jobs} jobs: a queue moves only when it and those below have none"
    depth = len(way) + (_height(old) if old is not None else 1)
    if depth > DEPTH_MAX:
        yield "parent", f"the tree would be {depth} queues deep: at most {DEPTH_MAX}"


def _height(queue: Queue) -> int:
    return 1 + max((_height(child) for child in queue.tree.children), default=0)


def _with(cluster: Cluster, spec: QueueSpec) -> dict[str, Queue]:
    """The tree as it would be; without accounts. O(queues * depth)."""
    queues = {name: Queue(queue.spec) for name, queue in cluster.queues.items()}
    queues[spec.name] = Queue(spec)
    link(queues)
    return queues


def _sum_problems(cluster: Cluster, spec: QueueSpec) -> Iterator[Problem]:
    """Limits hold what is guaranteed below them; nobody lends more than its guarantee."""
    queues = _with(cluster, spec)
    guarantee = queues[spec.name].tree.guarantee
    for key, most in sorted(spec.limit.items()):
        if most < guarantee.get(key, 0):
            text = f"below the {amount_text(key, guarantee[key])} guaranteed in it and below it"
            yield f"limit.{key}", f"{amount_text(key, most)}: {text}"
    for above in queues[spec.name].tree.chain[1:]:
        for key, most in sorted(above.spec.limit.items()):
            if key in spec.quota and most < (total := above.tree.guarantee.get(key, 0)):
                text = f"queue {above.spec.name} would guarantee {amount_text(key, total)}"
                yield f"quota.{key}", f"{text}, its limit is {amount_text(key, most)}"
    for key, most in sorted(spec.lend_limit.items()):
        if most > guarantee.get(key, 0):
            has = amount_text(key, guarantee.get(key, 0))
            yield f"lend_limit.{key}", f"{amount_text(key, most)}: more than its quota, {has}"
    yield from _cover_problems(cluster, spec)


def _cover_problems(cluster: Cluster, spec: QueueSpec) -> Iterator[Problem]:
    """A reserve says in which pieces a quota can be had: it is part of it, and of the nodes."""
    quota, sums = spec.quota, dict[str, int]()
    for cell in spec.reserve:
        for key in (f"gpu:{cell.model}", "gpu"):
            sums[key] = sums.get(key, 0) + cell.gpu_milli
    for key, total in sorted(sums.items()):
        if key not in quota and (key == "gpu" or "gpu" in quota):
            continue  # either of the two bounds it
        if total > quota.get(key, 0):
            has, needs = amount_text(key, quota.get(key, 0)), amount_text(key, total)
            yield (
                "reserve",
                f"{needs} are more than its quota, {has}: --quota {key}={total // 1000}",
            )
            return
    old = cluster.queues.get(spec.name)
    if spec.reserve and (old is None or old.spec.reserve != spec.reserve):
        yield from _lacking(cluster, spec)


def _lacking(cluster: Cluster, spec: QueueSpec) -> Iterator[Problem]:
    """What the present nodes could not give all queues even if nothing ran. O(nodes)."""
    reserves = _with(cluster, spec)[ROOT].tree.reserved
    for reserve, missing in zip(reserves, when_idle(cluster, reserves).missing, strict=True):
        if missing:
            cell, whose = reserve.cell, "" if reserve.queue == spec.name else f" of {reserve.queue}"
            text = (
                f"with the reserves of all queues the present nodes have {cell.count - missing} of "
                f"the {cell.count} x ({cell_text(cell)}){whose}: fewer, or join nodes first"
            )
            yield "reserve", text


def queue_warnings(cluster: Cluster, spec: QueueSpec) -> list[str]:
    """What is allowed but cannot be kept with the present nodes. The spec has no problems."""
    capacity, found = cluster.index.totals.amounts(), []
    for key, amount in sorted(effective(spec.quota).items()):
        if amount > (has := capacity.get(key, 0)):
            text = f"its quota is {amount_text(key, amount)}"
            found.append(f"{text}, the cluster has {amount_text(key, has)}")
    for key, total in sorted(_with(cluster, spec)[ROOT].tree.guarantee.items()):
        has = capacity.get(key, 0)
        if key in effective(spec.quota) and has < total != spec.quota.get(key, 0):
            text = f"all queues together are guaranteed {amount_text(key, total)}"
            found.append(f"{text}, the cluster has {amount_text(key, has)}")
    return [*found, *_taken(cluster, spec)]


def _taken(cluster: Cluster, spec: QueueSpec) -> Iterator[str]:
    """Cells of the queue in which now jobs of others stay. O(nodes)."""
    if not spec.reserve:
        return
    cells = Cells(cluster, _with(cluster, spec)[ROOT].tree.reserved)
    cells.refresh()
    for reserve, missing in zip(cells.reserves, cells.assign().missing, strict=True):
        if missing and reserve.queue == spec.name:
            text = f"{missing} of its {reserve.cell.count} x ({cell_text(reserve.cell)})"
            yield f"{text} cannot be had until others end, who cannot be preempted, or nodes return"


def delete_problem(cluster: Cluster, name: str) -> str:
    """Why an existing queue cannot be removed; empty when it can."""
    queue = cluster.queues[name]
    if name in (ROOT, DEFAULT):
        return f"queue {name} always exists"
    if queue.tree.children:
        names = ", ".join(child.spec.name for child in queue.tree.children[:3])
        return f"queues are below it: {names}; remove them first"
    if queue.active or queue.queued:
        text = f"it has {queue.active} active and {queue.queued} waiting jobs"
        return f"{text}; wait for them, or cancel them"
    return ""


def admission_problem(cluster: Cluster, spec: JobSpec, of: Job | None = None) -> str:
    """Why the job's queue does not take it at all; empty when it does.

    of: the job that is to get this spec; None: a new one. O(depth * resources).
    """
    queue = cluster.queues.get(spec.queue)
    if queue is None:
        return f"there is no queue {spec.queue[:63]!r}{closest(spec.queue, cluster)}"
    problem = range_problem(cluster, spec)
    if problem:
        return problem
    tasks = len(spec.array.indexes) if spec.array is not None else 1
    least = _least(spec)
    for above in queue.tree.chain:
        rules, name = above.spec, above.spec.name
        for key, most_of in (*rules.job_limit.items(), *rules.limit.items()):
            if least.get(key, 0) > most_of:
                asks, most = amount_text(key, least[key]), amount_text(key, most_of)
                return f"queue {name} gives one job at most {most}, this one needs {asks}"
        is_there = of is not None and any(above is q for q in _chain_of(cluster, of))
        if rules.max_queued and not is_there and above.queued + tasks > rules.max_queued:
            text = f"queue {name} has {above.queued} waiting jobs"
            return f"{text}, at most {rules.max_queued} may wait"
    return ""


def staying_problem(cluster: Cluster, job: Job, spec: JobSpec) -> str:
    """Why an active job cannot become one that stays where it is; empty: it can. O(nodes)."""
    if stays(job.spec):
        return ""
    reserve = lost_by_staying(cluster, replace(job, spec=spec))
    if reserve is None:
        return ""
    where = f"it lies in {cell_text(reserve.cell)}, of what queue {reserve.queue} has in reserve"
    return f"{where}: there it must stay preemptible"


def firm_warning(cluster: Cluster, spec: JobSpec) -> str:
    """Why a job that cannot be preempted would wait for ever in its queue; empty: it would not.

    The firm rule (see quota.py), as if no other such job were there. O(queues * resources).
    """
    queue = cluster.queues.get(spec.queue)
    if spec.preemptible or queue is None:
        return ""
    for key, amount in sorted(_least(spec).items()):
        if amount and is_beyond_firm(cluster, queue, key, amount, lambda _queue, _key: 0):
            has, asks = queue.tree.guarantee.get(key, 0), amount_text(key, amount)
            return (
                "a job that cannot be preempted never gets more than its queue is guaranteed, in "
                f"{spec.queue} {amount_text(key, has)}, and this one needs {asks}: it waits for "
                f"ever unless that grows (massctl queue put {spec.queue} --quota ...) or the job "
                "becomes preemptible"
            )
    return ""


def range_problem(cluster: Cluster, spec: JobSpec, was: JobSpec | None = None) -> str:
    """Why the priority or the time limit is out of the queue's bounds; empty when neither is.

    was: the spec of an active job, which keeps what does not change. O(depth).
    """
    for above in cluster.queues[spec.queue].tree.chain:
        rules, name = above.spec, above.spec.name
        is_new = was is None or spec.priority != was.priority
        if is_new and not rules.priority_min <= spec.priority <= rules.priority_max:
            allowed = f"{rules.priority_min} to {rules.priority_max}"
            return f"queue {name} takes priorities {allowed}, not {spec.priority}"
        is_new = was is None or spec.walltime_ms != was.walltime_ms
        most_ms = rules.max_walltime_ms
        if is_new and most_ms and not 0 < spec.walltime_ms <= most_ms:
            most = f"of at most {span_text(most_ms)}"
            return f"queue {name} takes jobs with a time limit {most}"
    return ""


def _chain_of(cluster: Cluster, job: Job) -> tuple[Queue, ...]:
    return cluster.queues[job.spec.queue].tree.chain


def _least(spec: JobSpec) -> Amounts:
    """The least that the job can run with, as far as known before it is placed."""
    job = Job(JobId(""), 0, spec, "", "", 0)
    found: Amounts = {}
    for number, want in enumerate(forms(job, 0)):
        role = spec.elastic_role
        if role >= 0 and (elastic := spec.roles[role].elastic) is not None:
            want = sized(job, want, elastic.min_shards)
        amounts = amounts_asked(job, want)
        keys = amounts if number == 0 else found
        found = {k: min(amounts.get(k, 0), found.get(k, amounts.get(k, 0))) for k in keys}
    return found


def closest(name: str, cluster: Cluster) -> str:
    """What follows "there is no queue NAME": the likeliest one, and some that exist."""
    near = get_close_matches(name, cluster.queues, 1)
    guess = f"; did you mean {near[0]}?" if near else ""
    names = [known for known in cluster.queues if known != ROOT]
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{guess}; there are {', '.join(names[:10])}{more}"
