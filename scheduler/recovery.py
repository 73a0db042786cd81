"""From a journal to a Cluster: the newest snapshot, then the tail of events after it."""

import contextlib
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.codec import CodecError, encode_snapshot, hash_snapshot, restore
from aimass.core.invariants import check_invariants
from aimass.core.journal import Journal, JournalCorruptError, Snapshot

log = structlog.get_logger()


def recover(journal: Journal) -> Cluster:
    """The state that the journal holds, invariants checked. O(snapshot + tail).

    A damaged snapshot costs time only: the events are all there. Raises JournalCorruptError when an
    event is not what was written.
    """
    with _without_gc():
        cluster = _from_snapshot(journal.load_snapshot())
        for revision, event in journal.read(cluster.revision):
            if revision != cluster.revision + 1:
                raise JournalCorruptError(f"revision {cluster.revision + 1} is missing")
            apply(cluster, event)
        check_invariants(cluster)
    return cluster


def _from_snapshot(snapshot: Snapshot | None) -> Cluster:
    if snapshot is None:
        return Cluster()
    if hash_snapshot(snapshot.data) == snapshot.state_hash:
        with contextlib.suppress(CodecError):  # of a version that wrote other rows
            return restore(snapshot.data)
    log.warning("snapshot of no use; replaying every event", revision=snapshot.revision)
    return Cluster()


def set_aside_garbage_collection() -> None:
    """Collect rarely: this process makes many rows that stay and few cycles that go."""
    gc.set_threshold(10_000, 10, 10)


def freeze_rows() -> None:
    """Leave all that lives now out of later collections (3 µs; reference counts still free it).

    Without it each collection walks every job: submissions cost 100 µs instead of 40 at 100,000
    jobs (benchmarks/submit_batch.py).
    """
    gc.freeze()


def collect_all() -> None:
    """Look at everything once, frozen rows too: what is garbage there would leak otherwise."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def take_snapshot(cluster: Cluster) -> Snapshot:
    """The state as a snapshot for Journal.save_snapshot."""
    data = encode_snapshot(cluster)
    return Snapshot(cluster.revision, data, hash_snapshot(data))


@contextmanager
def _without_gc() -> Iterator[None]:
    """A replay makes millions of objects that all stay: collecting among them halves its speed."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        gc.freeze()
