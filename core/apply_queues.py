"""What events about queues, windows and topology levels do."""

from aimass.core import events as ev
from aimass.core.cluster import Cluster
from aimass.core.queues import ROOT, Queue, link, settle_row


def queue_put(cluster: Cluster, event: ev.QueuePut) -> None:
    """See events.QueuePut."""
    queue = cluster.queues.get(event.spec.name)
    if queue is None:
        queue = cluster.queues[event.spec.name] = Queue(event.spec, settled_ms=event.at_ms)
    elif queue.spec.parent != event.spec.parent:
        assert queue.active + queue.queued == 0, f"{event.spec.name} has jobs: it stays here"
    for row in cluster.queues.values():  # under the half-life that was
        settle_row(row, event.at_ms, cluster.queues[ROOT].spec.half_life_ms)
    queue.spec = event.spec
    link(cluster.queues)
    cluster.freed_revision = cluster.revision + 1


def queue_deleted(cluster: Cluster, event: ev.QueueDeleted) -> None:
    """See events.QueueDeleted."""
    queue = cluster.queues.pop(event.name)
    assert not queue.tree.children, f"{event.name} has queues below it"
    assert queue.active + queue.queued == 0, f"{event.name} has jobs"
    link(cluster.queues)
    cluster.freed_revision = cluster.revision + 1


def window_put(cluster: Cluster, event: ev.WindowPut) -> None:
    """See events.WindowPut."""
    cluster.windows[event.spec.name] = event.spec
    cluster.freed_revision = cluster.revision + 1


def window_deleted(cluster: Cluster, event: ev.WindowDeleted) -> None:
    """See events.WindowDeleted."""
    cluster.windows.pop(event.name, None)
    cluster.freed_revision = cluster.revision + 1


def levels_put(cluster: Cluster, event: ev.LevelsPut) -> None:
    """See events.LevelsPut."""
    cluster.levels = event.levels
    for node in cluster.nodes.values():
        cluster.index.put(node)
    cluster.freed_revision = cluster.revision + 1
