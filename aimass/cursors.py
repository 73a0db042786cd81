"""Where a stream stands: cursors that let a broken watch, log or batch go on without gap or double.

Plain computation on messages; the sync and the async client drive the same ones.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from aimass.errors import MassError
from aimass.v1 import job_pb2, scheduler_pb2
from aimass.wire import error_of_detail, new_key, submit_request

CHUNK_JOBS_MAX = 1000
CHUNK_BYTES_MAX = 2 * 2**20
CHUNKS_IN_FLIGHT_MAX = 4


class WatchCursor:
    """Where a watch stands, so that a new stream goes on without a gap or a repeated event.

    One revision can come as several events (a plan: once per job it starts), so a resumed stream
    asks for the last revision again and drops as many events of it as were seen.
    """

    def __init__(self, from_revision: int, job: str) -> None:
        self.job = job
        self.revision = from_revision
        self._seen_at_revision = 0
        self._to_skip = 0

    def request(self) -> scheduler_pb2.WatchRequest:
        """Build the request that goes on from here."""
        again = self._seen_at_revision > 0 and self.revision > 1  # from_revision 0 would mean "now"
        self._to_skip = self._seen_at_revision if again else 0
        return scheduler_pb2.WatchRequest(from_revision=self.revision - again, job=self.job)

    def is_new(self, event: scheduler_pb2.WatchEvent) -> bool:
        """Take note of an event; False when the caller has had it already."""
        if event.revision < self.revision:
            return False
        if event.revision > self.revision:
            self.revision, self._seen_at_revision, self._to_skip = event.revision, 0, 0
        elif self._to_skip:
            self._to_skip -= 1
            return False
        self._seen_at_revision += 1
        return True


class LogCursor:
    """Where each rank's output stands, so that a new stream goes on at the right byte."""

    def __init__(
        self, job: job_pb2.Job, user: str, attempt: int, ranks: Sequence[int], tail_lines: int
    ) -> None:
        self._job = job.id
        self._user = user
        self.attempt = attempt
        self._ranks = tuple(ranks)
        self._all_ranks = tuple(ranks) or range(sum(role.shards for role in job.spec.roles))
        self._tail_lines = tail_lines
        self._next: dict[int, int] = {}  # rank -> offset of the next byte
        self._ended: set[int] = set()

    @property
    def is_done(self) -> bool:
        """Whether every rank has reported its end."""
        return bool(self._all_ranks) and all(rank in self._ended for rank in self._all_ranks)

    def request(self, follow: bool) -> scheduler_pb2.LogsRequest:
        """Build the request that goes on from here.

        Resuming names every rank that has not ended: offsets go by position. It asks for no tail,
        which could drop lines written meanwhile.
        """
        request = scheduler_pb2.LogsRequest(
            job=self._job, user=self._user, attempt=self.attempt, follow=follow
        )
        if not self._next and not self._ended:
            request.ranks.extend(self._ranks)
            request.tail_lines = self._tail_lines
            return request
        ranks = [rank for rank in self._all_ranks if rank not in self._ended]
        request.ranks.extend(ranks)
        request.offsets.extend(self._next.get(rank, 0) for rank in ranks)
        return request

    def take(self, chunk: scheduler_pb2.LogChunk) -> scheduler_pb2.LogChunk | None:
        """Take note of a chunk; give it without the bytes seen before, None when nothing is new."""
        if chunk.rank in self._ended:
            return None
        if chunk.eof:
            self._ended.add(chunk.rank)
        if chunk.data:
            old = max(0, self._next.get(chunk.rank, chunk.offset) - chunk.offset)
            self._next[chunk.rank] = chunk.offset + max(old, len(chunk.data))
            if old:
                chunk.data = chunk.data[old:]
                chunk.offset += old
        has_news = chunk.data or chunk.eof or chunk.note or chunk.skipped_bytes
        return chunk if has_news else None


class BatchWindow:
    """The chunks of a batch that are under way: at most a few, each kept until it is answered.

    After a broken stream the same chunks go again with the same keys, so no job doubles.
    """

    def __init__(self, specs: Iterable[job_pb2.JobSpec], user: str) -> None:
        self._chunks = _chunked(submit_request(spec, new_key(), user) for spec in specs)
        self._unsent: deque[scheduler_pb2.SubmitBatchRequest] = deque()
        self._sent: deque[scheduler_pb2.SubmitBatchRequest] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether a reply is due."""
        return bool(self._sent)

    def restart(self) -> None:
        """Send what is unanswered again: the stream broke."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()

    def next_to_send(self) -> Iterator[scheduler_pb2.SubmitBatchRequest]:
        """Give chunks while there is room in the window."""
        while len(self._sent) < CHUNKS_IN_FLIGHT_MAX:
            chunk = self._unsent.popleft() if self._unsent else next(self._chunks, None)
            if chunk is None:
                return
            self._sent.append(chunk)
            yield chunk

    def settle(
        self, reply: scheduler_pb2.SubmitBatchReply
    ) -> list[scheduler_pb2.SubmitReply | MassError]:
        """Match a reply with the oldest chunk under way; one result per job, in order."""
        chunk = self._sent.popleft()
        if len(chunk.jobs) != len(reply.entries):
            raise MassError(
                f"the scheduler answered {len(reply.entries)} of {len(chunk.jobs)} jobs of a batch",
                fix="use the same version on both sides; see `massctl version --server`",
            )
        return [
            error_of_detail(entry.error) if entry.HasField("error") else entry.reply
            for entry in reply.entries
        ]


def _chunked(
    requests: Iterable[scheduler_pb2.SubmitRequest],
) -> Iterator[scheduler_pb2.SubmitBatchRequest]:
    """Group requests into messages that stay below both limits."""
    chunk = scheduler_pb2.SubmitBatchRequest()
    size = 0
    for request in requests:
        bytes_more = request.ByteSize()
        if chunk.jobs and (
            len(chunk.jobs) == CHUNK_JOBS_MAX or size + bytes_more > CHUNK_BYTES_MAX
        ):
            yield chunk
            chunk, size = scheduler_pb2.SubmitBatchRequest(), 0
        chunk.jobs.append(request)
        size += bytes_more
    if chunk.jobs:
        yield chunk
