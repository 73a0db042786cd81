"""Reading a shard's output by absolute offset over its rotated files, and sending it on request."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from aimass.nodeagent import shim_log
from aimass.v1 import agent_pb2, agent_pb2_grpc

CHUNK_BYTES_MAX = 64 << 10
_FOLLOW_S = 0.05


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the output. skipped_bytes: asked for, but rotated away before `offset`."""

    offset: int
    data: bytes
    skipped_bytes: int = 0


def read_chunk(folder: Path, offset: int, bytes_max: int = CHUNK_BYTES_MAX) -> Chunk:
    """Give the output from `offset` on, at most bytes_max; no data: there is none (yet).

    Never spans two files. A file that is rotated during the call is found under its new name.
    """
    while True:
        try:
            for start, path in _files(folder):
                size = os.stat(path).st_size
                if offset < start + size and size > 0:  # emptied on a full disk: shim_log.py
                    first = max(offset, start)
                    with open(path, "rb") as file:
                        file.seek(first - start)
                        data = file.read(bytes_max)
                    if _start_of(folder, path) == start:
                        return Chunk(first, data, first - offset)
                    break
            else:
                return Chunk(offset, b"")
        except FileNotFoundError:
            continue  # rotated or deleted between the listing and the reading


def _files(folder: Path) -> Iterator[tuple[int, str]]:
    """List the files of an output as (first offset, path), oldest first."""
    end = 0
    for start, name in shim_log.rotated(str(folder)):
        path = f"{folder}/{name}"
        end = start + os.stat(path).st_size
        yield start, path
    newest = f"{folder}/{shim_log.NEWEST}"
    if os.path.exists(newest):
        yield end, newest


def _start_of(folder: Path, path: str) -> int:
    """Give the first offset of a file now: `log` may have been another file a moment ago."""
    name = os.path.basename(path)
    if name == shim_log.NEWEST:
        return shim_log.newest_start(str(folder))
    return int(name.removeprefix("log."))


def tail_offset(folder: Path, lines: int) -> int:
    """Give the offset at which the last `lines` lines begin; an unfinished line counts as one."""
    while True:
        try:
            files = list(_files(folder))
            end = files[-1][0] + os.stat(files[-1][1]).st_size if files else 0
            return _tail_offset(files, end, lines)
        except FileNotFoundError:
            continue


def _tail_offset(files: list[tuple[int, str]], end: int, lines: int) -> int:
    wanted = lines
    for start, path in reversed(files):
        with open(path, "rb") as file:
            position = min(os.fstat(file.fileno()).st_size, end - start)
            while position > 0:
                length = min(CHUNK_BYTES_MAX, position)
                position -= length
                file.seek(position)
                block = file.read(length)
                if start + position + length == end and block.endswith(b"\n"):
                    wanted += 1  # the last line's own end begins no further line
                at = length
                while (at := block.rfind(b"\n", 0, at)) >= 0:
                    wanted -= 1
                    if wanted == 0:
                        return start + position + at + 1
    return files[0][0] if files else 0


async def push_logs(
    stub: "agent_pb2_grpc.AgentLinkAsyncStub",
    request: agent_pb2.LogRequest,
    folder: Path,
    until_known: Callable[[], Awaitable[None]],
    has_ended: Callable[[], bool],
) -> None:
    """Answer a LogRequest: stream the output from its offset, to the end or as it grows.

    A slow reader holds this back by gRPC's own flow control; one that goes away ends it.
    until_known: waits for a shard that is yet to start; has_ended: it will write no more.
    """
    call = stub.PushLogs()  # type: ignore[call-arg]
    identity = request.request_id
    try:
        if request.follow:
            # Empty, but it names the request: should the reader go, the scheduler ends this call.
            await call.write(agent_pb2.LogPush(request_id=identity))
            if not await _before_cut(call, until_known()):
                return
        async for push in _pushes(request, folder, has_ended, call.done):
            push.request_id = identity
            await call.write(push)
        await call.done_writing()
        await call
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return  # whoever asked has gone
    finally:
        call.cancel()


async def refuse_logs(
    stub: "agent_pb2_grpc.AgentLinkAsyncStub", request: agent_pb2.LogRequest, note: str
) -> None:
    """Answer a LogRequest with the reason why there is nothing, so that nobody waits for it."""
    call = stub.PushLogs()  # type: ignore[call-arg]
    try:
        await call.write(agent_pb2.LogPush(request_id=request.request_id, note=note, eof=True))
        await call.done_writing()
        await call
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return
    finally:
        call.cancel()


async def _before_cut(call: grpc.aio.Call, waited: Awaitable[None]) -> bool:
    """Wait for something, unless the call is ended first: False."""
    waiting = asyncio.ensure_future(waited)
    cut = asyncio.Event()
    call.add_done_callback(lambda _: cut.set())
    cutting = asyncio.ensure_future(cut.wait())
    try:
        await asyncio.wait((waiting, cutting), return_when=asyncio.FIRST_COMPLETED)
        return waiting.done()
    finally:
        waiting.cancel()
        cutting.cancel()


async def _pushes(
    request: agent_pb2.LogRequest,
    folder: Path,
    has_ended: Callable[[], bool],
    is_cut: Callable[[], bool],
) -> AsyncIterator[agent_pb2.LogPush]:
    """Yield the messages of one answer; the last one says eof unless the call was cut."""
    if not await asyncio.to_thread(folder.is_dir):
        yield agent_pb2.LogPush(eof=True, note="this node has no output of that shard (any more)")
        return
    offset = request.offset
    if request.tail_lines > 0:
        offset = max(offset, await asyncio.to_thread(tail_offset, folder, request.tail_lines))
    while not is_cut():
        is_over = has_ended() or not request.follow  # before reading: nothing can come after
        chunk = await asyncio.to_thread(read_chunk, folder, offset)
        if chunk.data:
            yield agent_pb2.LogPush(
                offset=chunk.offset, data=chunk.data, skipped_bytes=chunk.skipped_bytes
            )
            offset = chunk.offset + len(chunk.data)
        elif is_over:
            yield agent_pb2.LogPush(offset=offset, eof=True)
            return
        else:
            await asyncio.sleep(_FOLLOW_S)
