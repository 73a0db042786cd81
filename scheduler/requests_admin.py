"""What operators ask: nodes, cordons, drains, queues, reservations.

Like requests.py: functions inside the engine; a refusal comes before the first event.
"""

from collections.abc import Iterable

import grpc

from aimass.core.cluster import Cluster
from aimass.core.events import (
    NodeCordoned,
    NodeUncordoned,
    QueueDeleted,
    QueuePut,
    WindowDeleted,
    WindowPut,
)
from aimass.core.fair_share import share_report
from aimass.core.model import Node, NodeId
from aimass.core.queue_problems import delete_problem, queue_problems, queue_warnings
from aimass.core.reserves import cell_states
from aimass.core.spec_problems import TIME_MS_MAX
from aimass.core.windows import WindowSpec, admits, next_overlap, window_problems
from aimass.scheduler.errors import Refused, invalid, not_found
from aimass.scheduler.inbox import Context
from aimass.scheduler.translate import node_to_proto
from aimass.scheduler.translate_admin import (
    queue_from_proto,
    queue_to_proto,
    window_from_proto,
    window_to_proto,
)
from aimass.v1 import scheduler_pb2

REASON_CHARS_MAX = 500
PROBLEMS_NAMED = 5


# ---- nodes --------------------------------------------------------------------------------------


def nodes(context: Context) -> scheduler_pb2.NodesReply:
    """All nodes, by join order."""
    return _nodes_reply(context, context.cluster.nodes.values())


def _nodes_reply(context: Context, found: Iterable[Node]) -> scheduler_pb2.NodesReply:
    cluster, now_ms = context.cluster, context.now_ms
    in_force = [spec for spec in cluster.windows.values() if next_overlap(spec, now_ms, now_ms + 1)]
    reply = scheduler_pb2.NodesReply(revision=cluster.revision)
    for node in found:
        message = node_to_proto(node)
        message.cordon, message.drain_ms = node.cordon, node.drain_ms
        message.windows.extend(spec.name for spec in in_force if node.id in spec.nodes)
        reply.nodes.append(message)
    return reply


def _named(cluster: Cluster, names: Iterable[str]) -> list[Node]:
    """The nodes with these ids, each once. Raises Refused."""
    found = []
    for name in dict.fromkeys(names):
        node = cluster.nodes.get(NodeId(name))
        if node is None:
            raise not_found(f"no node {name[:80]!r}", "see what there is: massctl nodes", name)
        found.append(node)
    if not found:
        raise invalid("no node is named", fix="name at least one, see massctl nodes")
    return found


def cordon(context: Context, message: scheduler_pb2.CordonRequest) -> scheduler_pb2.NodesReply:
    """Nothing new goes to the nodes; a drain also empties them."""
    if len(message.reason) > REASON_CHARS_MAX:
        raise invalid(f"the reason has {len(message.reason)} characters: {REASON_CHARS_MAX}")
    if message.deadline_ms and not message.drain:
        raise invalid("a deadline is of a drain", fix="massctl drain NODE --deadline TIME")
    if not 0 <= message.deadline_ms <= TIME_MS_MAX:
        raise invalid("--deadline: a time in the years 1970 to 9999", fix="--deadline 1h")
    drain_ms = max(message.deadline_ms, context.now_ms) if message.drain else 0
    found = _named(context.cluster, message.nodes)
    for node in found:
        context.emit(NodeCordoned(context.now_ms, node.id, message.user, message.reason, drain_ms))
    return _nodes_reply(context, found)


def uncordon(context: Context, message: scheduler_pb2.UncordonRequest) -> scheduler_pb2.NodesReply:
    """The nodes may be used again."""
    found = _named(context.cluster, message.nodes)
    for node in found:
        if node.cordon:
            context.emit(NodeUncordoned(context.now_ms, node.id, message.user))
    return _nodes_reply(context, found)


# ---- queues -------------------------------------------------------------------------------------


def put_queue(
    context: Context, message: scheduler_pb2.PutQueueRequest
) -> scheduler_pb2.PutQueueReply:
    """A new queue, or other rules for one that exists."""
    cluster, name = context.cluster, message.spec.name
    old = cluster.queues.get(name)
    spec = queue_from_proto(message.spec, old.spec if old is not None else None)
    _refuse(f"queue {name[:80]!r}", name, queue_problems(cluster, spec))
    warnings = queue_warnings(cluster, spec)
    if old is None or old.spec != spec:
        context.emit(QueuePut(context.now_ms, spec, message.user))
    row = next(row for row in share_report(cluster) if row.name == name)
    return scheduler_pb2.PutQueueReply(
        queue=queue_to_proto(cluster.queues[name], row, cell_states(cluster).get(name, ())),
        existed=old is not None,
        warnings=warnings,
    )


def delete_queue(
    context: Context, message: scheduler_pb2.DeleteRequest
) -> scheduler_pb2.DeleteReply:
    """Without jobs, without queues below it, and in no reservation."""
    cluster, name = context.cluster, message.name
    _check_queue(cluster, name)
    users = [spec.name for spec in cluster.windows.values() if name in spec.queues]
    problem = delete_problem(cluster, name)
    if users:
        problem = problem or f"reservation {users[0]} is for it; massctl reserve rm {users[0]}"
    if problem:
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"queue {name} cannot be removed: {problem}",
            fix=f"see what it holds: massctl queue show {name}",
            id=name,
        )
    context.emit(QueueDeleted(context.now_ms, name, message.user))
    return scheduler_pb2.DeleteReply(name=name)


def _check_queue(cluster: Cluster, name: str) -> None:
    if name not in cluster.queues:
        raise not_found(f"no queue {name[:80]!r}", "see what there is: massctl queue ls", name)


def queues(context: Context, message: scheduler_pb2.QueuesRequest) -> scheduler_pb2.QueuesReply:
    """The queue and those below it, or all; a parent before its children."""
    cluster = context.cluster
    if message.name:
        _check_queue(cluster, message.name)
    cells = cell_states(cluster)
    kept: set[str] = set()
    reply = scheduler_pb2.QueuesReply(revision=cluster.revision)
    for row in share_report(cluster):
        queue = cluster.queues[row.name]
        if not message.name or row.name == message.name or queue.spec.parent in kept:
            kept.add(row.name)
            reply.queues.append(queue_to_proto(queue, row, cells.get(row.name, ())))
    return reply


# ---- reservations -------------------------------------------------------------------------------


def put_window(context: Context, message: scheduler_pb2.PutWindowRequest) -> scheduler_pb2.Window:
    """A new reservation, or another in place of the one of this name."""
    cluster, spec = context.cluster, window_from_proto(message.window)
    problems = window_problems(cluster, spec, context.now_ms)
    _refuse(f"reservation {spec.name[:80]!r}", spec.name, problems)
    if cluster.windows.get(spec.name) != spec:
        context.emit(WindowPut(context.now_ms, spec, message.user))
    reply = window_to_proto(cluster, spec, context.now_ms)
    reply.warnings.extend(_window_warnings(cluster, spec))
    return reply


def _window_warnings(cluster: Cluster, spec: WindowSpec) -> list[str]:
    """Who will be stopped if nothing changes. O(shards on its nodes)."""
    there = dict.fromkeys(
        key.job_id for name in spec.nodes for key in cluster.nodes[NodeId(name)].holds
    )
    strangers = [i for i in there if not admits(cluster, spec, cluster.jobs[i])]
    if not strangers:
        return []
    few = ", ".join(strangers[:3]) + (" ..." if len(strangers) > 3 else "")
    return [f"jobs of others that still run on its nodes when it begins are stopped; now: {few}"]


def delete_window(
    context: Context, message: scheduler_pb2.DeleteRequest
) -> scheduler_pb2.DeleteReply:
    """The nodes are everybody's again."""
    if message.name not in context.cluster.windows:
        raise not_found(
            f"no reservation {message.name[:80]!r}",
            "see what there is: massctl reserve ls",
            message.name,
        )
    context.emit(WindowDeleted(context.now_ms, message.name, message.user))
    return scheduler_pb2.DeleteReply(name=message.name)


def windows(context: Context) -> scheduler_pb2.WindowsReply:
    """All reservations, by name."""
    cluster = context.cluster
    return scheduler_pb2.WindowsReply(
        windows=[
            window_to_proto(cluster, cluster.windows[name], context.now_ms)
            for name in sorted(cluster.windows)
        ],
        revision=cluster.revision,
    )


def _refuse(what: str, name: str, problems: Iterable[tuple[str, str]]) -> None:
    """Raise Refused when there are problems, naming each field."""
    found = list(problems)
    if found:
        named = "; ".join(f"{_flag(field)}: {text}" for field, text in found[:PROBLEMS_NAMED])
        fix = f"correct {_flag(found[0][0])} and try again"
        raise invalid(f"{what} cannot be: {named}", fix=fix, id=name)


def _flag(field: str) -> str:
    """How people give the field: `--start` for start_ms, `--limit gpu` for limit.gpu."""
    name, _, key = field.partition(".")
    if name == "name":
        return name
    name = "priority" if name.startswith("priority_") else name.removesuffix("_ms")
    return f"--{name.replace('_', '-')} {key}".rstrip()
