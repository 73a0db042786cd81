"""Refusals: what a client is told when a request cannot be done, and what it can do about it."""

from typing import TYPE_CHECKING, Any

import grpc

from aimass.v1 import scheduler_pb2

if TYPE_CHECKING:
    Call = grpc.aio.ServicerContext[Any, Any]
else:
    Call = grpc.aio.ServicerContext

ERROR_KEY = "aimass-error-bin"


class StartError(Exception):
    """The daemon cannot start: what, why, what to do, and the exit code."""

    def __init__(self, what: str, fix: str, code: int = 1) -> None:
        super().__init__(what)
        self.fix = fix
        self.code = code


class Refused(Exception):
    """A request refused for a reason the caller can act on; nothing has changed."""

    def __init__(
        self, status: grpc.StatusCode, what: str, *, why: str = "", fix: str = "", id: str = ""
    ) -> None:
        super().__init__(what)
        self.status = status
        # It travels in the call's trailing metadata, which has a limit of 8 KiB in all.
        what, why, fix, id = (
            text.encode()[:most].decode(errors="ignore")
            for text, most in ((what, 1500), (why, 1500), (fix, 1000), (id, 300))
        )
        self.detail = scheduler_pb2.ErrorDetail(what=what, why=why, fix=fix, id=id)


def not_found(what: str, fix: str, id: str = "") -> Refused:
    """Nothing of that name."""
    return Refused(grpc.StatusCode.NOT_FOUND, what, fix=fix, id=id)


def invalid(what: str, *, why: str = "", fix: str = "", id: str = "") -> Refused:
    """The request itself is wrong."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, what, why=why, fix=fix, id=id)


def internal(what: str) -> Refused:
    """A bug, told to the caller it hit."""
    return Refused(
        grpc.StatusCode.INTERNAL, what, fix="report it with the scheduler's log of this moment"
    )


def unavailable(what: str, *, why: str = "", fix: str = "") -> Refused:
    """Not now; the same request may succeed later."""
    return Refused(grpc.StatusCode.UNAVAILABLE, what, why=why, fix=fix)


async def abort(context: Call, refused: Refused) -> None:
    """End the call with the refusal as status and trailing metadata."""
    metadata = ((ERROR_KEY, refused.detail.SerializeToString()),)
    short = refused.detail.what.encode()[:600].decode(errors="ignore")  # three bytes for each
    await context.abort(refused.status, short, metadata)
