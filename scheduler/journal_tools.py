"""Look into a journal without a daemon: `massctl journal verify` and `massctl journal dump`."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.codec import event_json, is_of_this_fold, state_hash
from aimass.core.events import Event
from aimass.core.invariants import check_invariants
from aimass.core.journal import JournalError
from aimass.scheduler.journal_sqlite import open_readonly, read_batches, translated


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a full replay found. problem is empty when ok.

    hashes_skipped: those that another version recorded, whose rules of the fold were others.
    """

    ok: bool
    revisions: int
    batches: int
    hashes_checked: int
    hashes_skipped: int
    state_hash: str
    problem: str = ""


def verify(path: Path) -> VerifyReport:
    """Replay every event from the first and compare with every hash that was recorded.

    Raises JournalError when there is no journal at `path`; damage is in the report.
    """
    with translated(), closing(open_readonly(path)) as db:
        every: dict[int, str] = dict(db.execute("SELECT revision, hash FROM snapshots"))
    recorded = {revision: found for revision, found in every.items() if is_of_this_fold(found)}
    skipped = len(every) - len(recorded)
    cluster = Cluster()
    batches = checked = 0
    try:
        for first, batch in read_batches(path):
            if first != cluster.revision + 1:
                raise JournalError(f"revisions {cluster.revision + 1} to {first - 1} are missing")
            batches += 1
            for event in batch:
                apply(cluster, event)
                expected = recorded.get(cluster.revision)
                if expected is None:
                    continue
                checked += 1
                found = state_hash(cluster)
                if found != expected:
                    raise JournalError(
                        f"at revision {cluster.revision} the replay gives {found}, "
                        f"{expected} was recorded"
                    )
        check_invariants(cluster)
    except (JournalError, AssertionError, KeyError) as error:
        return VerifyReport(False, cluster.revision, batches, checked, skipped, "", str(error))
    return VerifyReport(True, cluster.revision, batches, checked, skipped, state_hash(cluster))


def events(path: Path) -> Iterator[Event]:
    """Yield every event, from the first on. Raises JournalError, of damage when it is reached."""
    for _, batch in read_batches(path):
        yield from batch


def dump(path: Path, *, after: int = 0, limit: int | None = None) -> Iterator[str]:
    """Yield one JSON line per event: {"revision": n, "type": …, "event": {…}}."""
    left = limit
    for first, batch in read_batches(path, after):
        for revision, event in enumerate(batch, first):
            if revision <= after:
                continue
            if left == 0:
                return
            yield f'{{"revision":{revision},{event_json(event)[1:]}'
            left = None if left is None else left - 1
