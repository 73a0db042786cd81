"""The life of a job and of a node as tables. Whatever is not in a table cannot happen.

The diagrams in ARCHITECTURE.md are generated from these tables (`python -m aimass.core.lifecycle`).
Every state is a recovery point: it comes from the journal, so a restart resumes in it.
"""

from enum import Enum

from aimass.core.model import Job, JobState, Node, NodeState


class JobTrigger(Enum):
    """What moves a job from one state to the next."""

    __hash__ = object.__hash__  # as in model.py

    HOLD = "somebody, or a rule, holds it back"
    RELEASE = "somebody lets it go"
    RESERVE = "a plan gave it places that others are still leaving"
    PLACE = "a plan gave every shard a place"
    FIRST_SHARD = "the first shard runs"
    ALL_SHARDS = "every shard runs"
    STOP = "cancelled, failed, preempted, resized, out of time, or its node was lost"
    SUCCEED = "every shard exited with 0"
    FAIL = "a shard, a dependency or its time failed it, and nobody is left"
    CANCEL = "cancelled, and no shard is left"
    REQUEUE = "it is to run again, and all shards exited or its claim was lost"


class NodeTrigger(Enum):
    """What moves a node from one state to the next."""

    REGISTER = "its agent introduced itself"
    SILENCE = "its link broke or its heartbeats stopped"
    EXPIRY = "its lease ran out"


_J, _T = JobState, JobTrigger
JOB_TRANSITIONS: dict[tuple[JobState, JobTrigger], JobState] = {
    (_J.QUEUED, _T.PLACE): _J.PLACED,
    (_J.QUEUED, _T.CANCEL): _J.CANCELLED,
    (_J.QUEUED, _T.FAIL): _J.FAILED,
    (_J.QUEUED, _T.HOLD): _J.HELD,
    (_J.QUEUED, _T.RESERVE): _J.RESERVED,
    (_J.HELD, _T.RELEASE): _J.QUEUED,
    (_J.HELD, _T.CANCEL): _J.CANCELLED,
    (_J.HELD, _T.FAIL): _J.FAILED,
    (_J.RESERVED, _T.PLACE): _J.PLACED,
    (_J.RESERVED, _T.REQUEUE): _J.QUEUED,
    (_J.RESERVED, _T.HOLD): _J.HELD,
    (_J.RESERVED, _T.CANCEL): _J.CANCELLED,
    (_J.RESERVED, _T.FAIL): _J.FAILED,
    (_J.PLACED, _T.FIRST_SHARD): _J.STARTING,
    (_J.PLACED, _T.ALL_SHARDS): _J.RUNNING,
    (_J.PLACED, _T.STOP): _J.STOPPING,
    (_J.STARTING, _T.ALL_SHARDS): _J.RUNNING,
    (_J.STARTING, _T.STOP): _J.STOPPING,
    (_J.RUNNING, _T.STOP): _J.STOPPING,
    (_J.RUNNING, _T.SUCCEED): _J.SUCCEEDED,
    (_J.STOPPING, _T.SUCCEED): _J.SUCCEEDED,
    (_J.STOPPING, _T.FAIL): _J.FAILED,
    (_J.STOPPING, _T.CANCEL): _J.CANCELLED,
    (_J.STOPPING, _T.REQUEUE): _J.QUEUED,
    (_J.STOPPING, _T.HOLD): _J.HELD,
    (_J.STOPPING, _T.RESERVE): _J.RESERVED,
}

_N, _U = NodeState, NodeTrigger
NODE_TRANSITIONS: dict[tuple[NodeState, NodeTrigger], NodeState] = {
    (_N.READY, _U.REGISTER): _N.READY,
    (_N.SUSPECT, _U.REGISTER): _N.READY,
    (_N.LOST, _U.REGISTER): _N.READY,
    (_N.READY, _U.SILENCE): _N.SUSPECT,
    (_N.SUSPECT, _U.EXPIRY): _N.LOST,
}


def move_job(job: Job, trigger: JobTrigger) -> None:
    """Change the job's state by the table; an impossible move is a broken invariant."""
    target = JOB_TRANSITIONS.get((job.state, trigger))
    assert target is not None, f"{job.id}: {job.state.value} cannot {trigger.name}"
    job.state = target


def move_node(node: Node, trigger: NodeTrigger, at_ms: int, reason: str) -> None:
    """Change the node's state by the table, stamping when and why."""
    target = NODE_TRANSITIONS.get((node.state, trigger))
    assert target is not None, f"{node.id}: {node.state.value} cannot {trigger.name}"
    if target is not node.state:
        node.since_ms = at_ms
    node.state = target
    node.reason = reason


def diagram() -> str:
    """Both tables as Mermaid state diagrams, ready for ARCHITECTURE.md."""
    parts = []
    for table in (JOB_TRANSITIONS, NODE_TRANSITIONS):
        lines = ["```mermaid", "stateDiagram-v2"]
        lines += [f"    {a.value} --> {b.value}: {t.value}" for (a, t), b in table.items()]
        parts.append("\n".join([*lines, "```"]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(diagram())
