"""Journal: the contract every store of events keeps, and the store in memory.

One contract suite (tests/scheduler/test_journal_contract.py) runs against every implementation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from aimass.core.events import Event


class JournalError(Exception):
    """The store failed in a way that leaves it unclear what is in it: stop and recover."""


class JournalFullError(JournalError):
    """No space; nothing of the batch was written. Appends work again when there is space."""


class StaleTermError(JournalError):
    """Another scheduler has taken the leadership: this one must stop writing at once."""


class JournalCorruptError(JournalError):
    """What is stored cannot be what was written."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A cache of the fold up to `revision`; data as codec.encode_snapshot makes it."""

    revision: int
    data: bytes
    state_hash: str


class Journal(Protocol):
    """An append-only list of events with terms. Revisions count events from 1 without gaps."""

    name: str

    def lead(self) -> int:
        """Take the leadership and return its term, higher than every term before."""
        ...

    def append(self, events: Sequence[Event], first_revision: int, term: int) -> None:
        """Store a batch whole and durably, or raise and store nothing.

        Raises JournalFullError, StaleTermError; any other JournalError leaves the outcome unknown.
        """
        ...

    def read(self, after: int) -> Iterator[tuple[int, Event]]:
        """Yield (revision, event) for every event after that revision, in order."""
        ...

    def probe(self, size_bytes: int) -> None:
        """Write so many bytes durably, no event of them; raises as append would."""
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot durably; events stay. Raises as append would."""
        ...

    def load_snapshot(self) -> Snapshot | None:
        """The newest snapshot, if any."""
        ...

    def close(self) -> None:
        """Release what is held; the journal can be opened again."""
        ...


class MemoryJournal:
    """A journal that lives as long as its object: for tests, benchmarks and simulations."""

    name = "memory"

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._term = 0
        self._snapshot: Snapshot | None = None

    def lead(self) -> int:
        """See Journal.lead."""
        self._term += 1
        return self._term

    def append(self, events: Sequence[Event], first_revision: int, term: int) -> None:
        """See Journal.append."""
        if term != self._term:
            raise StaleTermError(f"term {term} is over; the leader's is {self._term}")
        expected = len(self._events) + 1
        if first_revision != expected:
            raise JournalError(
                f"batch starts at {first_revision}, the journal ends at {expected - 1}"
            )
        self._events.extend(events)

    def read(self, after: int) -> Iterator[tuple[int, Event]]:
        """See Journal.read."""
        for index in range(after, len(self._events)):
            yield index + 1, self._events[index]

    def probe(self, size_bytes: int) -> None:
        """See Journal.probe."""

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """See Journal.save_snapshot."""
        self._snapshot = snapshot

    def load_snapshot(self) -> Snapshot | None:
        """See Journal.load_snapshot."""
        return self._snapshot

    def close(self) -> None:
        """See Journal.close."""
