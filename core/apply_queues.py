"""What events about queues, windows and topology levels do."""

from aimass.core import events as ev
from aimass.core.cluster import Cluster
from aimass.core.queues import Queue, settle


def queue_put(cluster: Cluster, event: ev.QueuePut) -> None:
    """See events.QueuePut."""
    queue = cluster.queues.get(event.spec.name)
    if queue is None:
        queue = cluster.queues[event.spec.name] = Queue(event.spec, settled_ms=event.at_ms)
    elif queue.spec.parent != event.spec.parent:
        raise AssertionError("a queue stays where it is in the tree")
    settle(cluster.queues, event.spec.name, event.at_ms)
    queue.spec = event.spec
    cluster.freed_revision = cluster.revision + 1


def queue_deleted(cluster: Cluster, event: ev.QueueDeleted) -> None:
    """See events.QueueDeleted."""
    del cluster.queues[event.name]
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
