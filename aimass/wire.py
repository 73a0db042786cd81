"""What the sync and the async client share: requests, deadlines, and errors out of RPC errors.

Plain computation on messages; the two clients only differ in how they wait.
"""

import getpass
import math
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from aimass.errors import BY_STATUS, InvalidRequest, MassError, TimedOut, Unreachable
from aimass.v1 import job_pb2, scheduler_pb2

DEFAULT_ADDRESS = "127.0.0.1:6277"
MESSAGE_BYTES_MAX = 4 * 2**20  # what the scheduler accepts
DEFAULT_GRACE_MS = 30_000
DEFAULT_NOTICE_MS = 60_000  # for a checkpoint, where only the signal is given
CONNECT_S_MIN, CONNECT_S_MAX = 10.0, 3600.0
GRPC_FORMS = ("unix:", "unix-abstract:", "dns:///", "ipv4:", "ipv6:")
RESTARTS_MAX = 100  # of a stream in a row, without one message in between

# A proxy in the environment is for the web, not for the team's own scheduler. Back-off is short
# because a restarted scheduler is back within seconds. Pings stay above gRPC servers' default
# minimum of 300 s, below which they hang up.
_CHANNEL_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_receive_message_length", 64 * 2**20),
)

# Exits that tell of the program itself; the others were brought on it.
BY_ITSELF = frozenset({job_pb2.EXIT_REASON_EXITED, job_pb2.EXIT_REASON_OUT_OF_MEMORY})
OVER = frozenset(
    {job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED}
)


def channel_options(timeout_s: float) -> Sequence[tuple[str, int]]:
    """Give the options of a channel whose requests may take `timeout_s` each.

    gRPC's least back-off also bounds each try to connect (and a refused one fails at once all the
    same), so it outlasts a request: on a slow link the request's own limit decides.
    """
    connect_ms = int((max(CONNECT_S_MIN, min(timeout_s, CONNECT_S_MAX)) + 1) * 1000)
    return (*_CHANNEL_OPTIONS, ("grpc.min_reconnect_backoff_ms", connect_ms))


def address_or_default(address: str | None) -> str:
    """Give the scheduler's address: the argument, else $AIMASS_ADDRESS, else the local default.

    InvalidRequest when it is not HOST:PORT (or one of gRPC's own forms, as unix:PATH).
    """
    given = address or os.environ.get("AIMASS_ADDRESS") or DEFAULT_ADDRESS
    host, _, port = given.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 2**16
    if not given.startswith(GRPC_FORMS) and not (host and is_port and given.split() == [given]):
        raise InvalidRequest(
            f"{given[:80]!r} is no address of a scheduler",
            why="it is HOST:PORT, the port from 1 to 65535",
            fix=f"--address {DEFAULT_ADDRESS}, or the same in AIMASS_ADDRESS",
        )
    return given


def user_or_default(user: str | None) -> str:
    """Give the caller's user name; a number where the system knows no name for it."""
    try:
        return user or getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def backoff_s(attempt: int) -> float:
    """Seconds to wait before retry number `attempt` (from 0): 50 ms doubling up to 1 s."""
    return float(min(0.05 * 2 ** min(attempt, 10), 1.0))


def name_from(text: str) -> str:
    """Make a legal job name out of a file's or program's name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:253].lstrip("._-")
    return name or "job"


def left_s(deadline: float) -> float:
    """Give the seconds until a time.monotonic() deadline (inf: none), never below 1 ms."""
    return max(0.001, deadline - time.monotonic())


def timeout_of(deadline: float) -> float | None:
    """Give the same as gRPC wants it: None for no limit."""
    return None if deadline == math.inf else left_s(deadline)


def try_timeout_s(timeout_s: float, patience_s: float, spent_s: float) -> float:
    """Give the time for one try of a request whose retries end `patience_s` after its start."""
    return min(timeout_s, max(0.05, patience_s - spent_s)) if patience_s else timeout_s


def is_over(job: job_pb2.Job) -> bool:
    """Say whether the job has ended, one way or another."""
    return job.state in OVER


def has_started_or_ended(job: job_pb2.Job) -> bool:
    """Say whether there is an attempt to look at, or never will be."""
    return is_over(job) or len(job.attempts) > 0


def newest_attempt(job: job_pb2.Job) -> int:
    """Give the number of the newest attempt; 0 when there is none yet."""
    return job.attempts[-1].number if job.attempts else 0


def over_or_later_than(number: int) -> Callable[[job_pb2.Job], bool]:
    """Make the test for a job that is over or has an attempt after `number`."""
    return lambda job: is_over(job) or newest_attempt(job) > number


def new_key() -> str:
    """Make an idempotency key: one per job that a caller means to submit."""
    return uuid.uuid4().hex


def submit_request(
    spec: job_pb2.JobSpec, key: str, user: str, held: bool = False
) -> scheduler_pb2.SubmitRequest:
    """Build the request; InvalidRequest when no scheduler would accept a message of its size."""
    request = scheduler_pb2.SubmitRequest(spec=spec, idempotency_key=key, user=user, held=held)
    size = request.ByteSize() + 16  # a batch wraps it once more
    if size > MESSAGE_BYTES_MAX:
        raise InvalidRequest(
            f"the job is {size} bytes; at most {MESSAGE_BYTES_MAX} are accepted",
            fix="pass large data by file, not by environment or command line",
            id=spec.name[:80],
        )
    return request


def list_request(
    states: Iterable[int], user: str, limit: int, array: str = "", queue: str = ""
) -> scheduler_pb2.ListRequest:
    """Build the request; no states: all, no user: everybody's, limit 0: the newest 1000."""
    return scheduler_pb2.ListRequest(
        states=cast("Iterable[job_pb2.JobState]", states),
        user=user,
        limit=limit,
        array=array,
        queue=queue,
    )


def job_request(job: str, user: str, reason: str = "") -> scheduler_pb2.JobRequest:
    """Build the request of what is done to a job as it stands."""
    return scheduler_pb2.JobRequest(job=job, user=user, reason=reason)


def update_request(
    job: str, user: str, spec: job_pb2.JobSpec, was: job_pb2.JobSpec | None
) -> scheduler_pb2.UpdateRequest:
    """Build the request; was: the spec that the job must still have, or None."""
    return scheduler_pb2.UpdateRequest(job=job, user=user, spec=spec, was=was)


def why_request(job: str, user: str, at_ms: int, history: bool) -> scheduler_pb2.WhyRequest:
    """Make the message."""
    return scheduler_pb2.WhyRequest(job=job, user=user, at_ms=at_ms, history=history)


def plan_request(
    spec: job_pb2.JobSpec,
    user: str,
    more: Iterable[scheduler_pb2.MoreNodes],
    without: Iterable[str],
) -> scheduler_pb2.PlanRequest:
    """Make the message."""
    return scheduler_pb2.PlanRequest(spec=spec, user=user, more=more, without=without)


def cancel_request(job: str, user: str, grace_ms: int | None) -> scheduler_pb2.CancelRequest:
    """Build the request; None leaves the grace period to the job."""
    return scheduler_pb2.CancelRequest(
        job=job, user=user, grace_ms=grace_ms or 0, has_grace=grace_ms is not None
    )


def detail_of(error: Any) -> scheduler_pb2.ErrorDetail | None:
    """Give the ErrorDetail of an RPC error, or None when the scheduler sent none."""
    for key, value in error.trailing_metadata() or ():
        if key == "aimass-error-bin":
            try:
                return scheduler_pb2.ErrorDetail.FromString(value)
            except DecodeError:
                return None
    return None


def is_broken(error: Any) -> bool:
    """Say whether the link failed, so that the outcome is unknown and trying again may help.

    An UNAVAILABLE with an ErrorDetail is an answer: the scheduler is there and refuses. CANCELLED
    is what a stopping server sends; our own cancelling never comes back as an error. And a write on
    a stream that breaks at this moment is called INTERNAL by grpc.aio, in words of its own.
    """
    broken = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    if error.code() is grpc.StatusCode.INTERNAL:
        broken = error.details() == "Internal error from Core"
    return broken and detail_of(error) is None


def is_outcome_unknown(error: Any) -> bool:
    """Say whether the request may have been carried out although no answer came."""
    is_late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return is_broken(error) or (is_late and detail_of(error) is None)


def error_of(error: Any, address: str) -> MassError:
    """Turn a gRPC error (sync or aio) into the MassError that a user can act on."""
    status: str = error.code().name
    text = " ".join(str(error.details() or "").split())[:500]
    kind = BY_STATUS.get(status, MassError)
    detail = detail_of(error)
    if detail is not None:
        return kind(detail.what, why=detail.why, fix=detail.fix, id=detail.id)
    if status == "UNAVAILABLE":
        return kind(
            f"the scheduler at {address} cannot be reached",
            why=text,
            fix="start one with `massctl up`, or name another: --address HOST:PORT",
        )
    if status == "DEADLINE_EXCEEDED":
        return kind(
            f"the scheduler at {address} did not answer in time",
            fix="massctl --request-timeout 60s …",
        )
    if status == "UNIMPLEMENTED":
        fix = "use the same version on both sides; see `massctl version --server`"
        return kind(f"the scheduler at {address} does not know this request", why=text, fix=fix)
    return kind(text or f"the scheduler answered {status}", why=f"gRPC status {status}")


def still_running(job: job_pb2.Job) -> TimedOut:
    """Say what a wait saw when its time was up."""
    state = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
    waits = ("QUEUED", "HELD", "RESERVED")
    fix = f"massctl why {job.id}" if state in waits else f"massctl show {job.id}"
    return TimedOut(f"{job.id} is still {state}", why=job.reason, fix=fix, id=job.id)


def request_error(error: Any, address: str, key: str) -> MassError:
    """Turn the error of one request into what is raised.

    key: of a submit. When its outcome is unknown, the fix says how to try again without a double.
    """
    wanted = error_of(error, address)
    if key and is_outcome_unknown(error):
        wanted.fix += f"; then submit with --idempotency-key {key}: a job that did arrive stays one"
    return wanted


def check_restarts(failures: int, address: str) -> None:
    """Raise Unreachable when a stream broke too often in a row."""
    if failures > RESTARTS_MAX:
        raise Unreachable(
            f"the link to {address} broke {failures} times in a row",
            fix="look at the scheduler's log; is there a proxy between?",
        )


def error_of_detail(detail: scheduler_pb2.ErrorDetail) -> MassError:
    """Turn one entry of a batch reply into an error; refused jobs of a batch are bad requests."""
    return InvalidRequest(detail.what, why=detail.why, fix=detail.fix, id=detail.id)


def exit_code_of(job: job_pb2.Job) -> int:
    """Give the exit code that stands for an ended job: its own program's.

    0: all shards ended well. Otherwise that of the first shard that failed by itself, 128 + n for
    signal n, and 1 when none did (cancelled, never launched).
    """
    if job.state == job_pb2.JOB_STATE_SUCCEEDED:
        return 0
    shards = job.attempts[-1].shards if job.attempts else ()
    failed = [
        shard for shard in shards if shard.exit.reason in BY_ITSELF and _shell_code(shard.exit)
    ]
    if not failed or job.state != job_pb2.JOB_STATE_FAILED:
        return 1
    return _shell_code(min(failed, key=lambda shard: (shard.exited_ms, shard.rank)).exit)


def _shell_code(exit: job_pb2.Exit) -> int:
    return 128 + exit.signal if exit.signal else exit.code
