"""Queues, reservations and cordons: messages to core values and back."""

from collections.abc import Iterable
from dataclasses import replace

from aimass.core.cluster import Cluster
from aimass.core.fair_share import ShareRow
from aimass.core.queues import Cell, Queue, QueueSpec
from aimass.core.reserves import CellState
from aimass.core.windows import SPAN_MS_MAX, WindowSpec, next_overlap
from aimass.v1 import scheduler_pb2

_AMOUNTS = ("quota", "limit", "borrow_limit", "lend_limit", "job_limit")
_PLAIN = (
    *("weight", "reclaim", "max_jobs", "max_queued", "max_walltime_ms"),
    *("priority_min", "priority_max", "min_runtime_ms", "half_life_ms"),
)


def queue_from_proto(message: scheduler_pb2.QueueSpec, old: QueueSpec | None) -> QueueSpec:
    """The spec with every field that the message gives; the others as they are, or the default."""
    base = old or QueueSpec(message.name)
    given = {field: getattr(message, field) for field in _PLAIN if message.HasField(field)}
    given |= {
        field: dict(getattr(message, field).of) for field in _AMOUNTS if message.HasField(field)
    }
    if message.HasField("parent"):
        given["parent"] = message.parent
    if message.HasField("reserve"):
        given["reserve"] = tuple(map(_cell_from_proto, message.reserve.cells))
    return replace(base, **given)


def _cell_from_proto(message: scheduler_pb2.Cell) -> Cell:
    return Cell(message.gpus, message.model, message.count, message.shards or 1, message.level)


def _cell_to_proto(cell: Cell) -> scheduler_pb2.Cell:
    return scheduler_pb2.Cell(
        gpus=cell.gpus, model=cell.model, count=cell.count, shards=cell.shards, level=cell.level
    )


def _queue_spec_to_proto(spec: QueueSpec) -> scheduler_pb2.QueueSpec:
    message = scheduler_pb2.QueueSpec(name=spec.name, parent=spec.parent)
    for field in _PLAIN:
        setattr(message, field, getattr(spec, field))
    for field in _AMOUNTS:
        getattr(message, field).CopyFrom(scheduler_pb2.Amounts(of=getattr(spec, field)))
    message.reserve.CopyFrom(scheduler_pb2.Reserve(cells=map(_cell_to_proto, spec.reserve)))
    return message


def queue_to_proto(
    queue: Queue, row: ShareRow, cells: Iterable[CellState] = ()
) -> scheduler_pb2.Queue:
    """A queue with its accounts, its row of the share report, and how its reserve fares."""
    return scheduler_pb2.Queue(
        spec=_queue_spec_to_proto(queue.spec),
        used=scheduler_pb2.Amounts(of=queue.used),
        leaving=scheduler_pb2.Amounts(of=queue.leaving),
        claimed=scheduler_pb2.Amounts(of=queue.claimed),
        firm=scheduler_pb2.Amounts(of=queue.firm),
        active=queue.active,
        queued=queue.queued,
        share_ppm=row.share_ppm,
        past_ppm=row.past_ppm,
        fair_ppm=row.fair_ppm,
        entitled_ppm=row.entitled_ppm,
        dominant=row.dominant,
        depth=row.depth,
        guarantee=scheduler_pb2.Amounts(of=row.guarantee),
        borrowed=scheduler_pb2.Amounts(of=row.borrowed),
        lent=scheduler_pb2.Amounts(of=row.lent),
        cells=[
            scheduler_pb2.CellState(
                cell=_cell_to_proto(state.cell), used=state.used, missing=state.missing
            )
            for state in cells
        ],
    )


def window_from_proto(message: scheduler_pb2.Window) -> WindowSpec:
    """What an operator reserves; not yet checked (see windows.window_problems)."""
    return WindowSpec(
        name=message.name,
        start_ms=message.start_ms,
        length_ms=message.length_ms,
        nodes=tuple(message.nodes),
        every_ms=message.every_ms,
        users=tuple(message.users),
        queues=tuple(message.queues),
        maintenance=message.maintenance,
        until_ms=message.until_ms,
    )


def window_to_proto(cluster: Cluster, spec: WindowSpec, now_ms: int) -> scheduler_pb2.Window:
    """A reservation, and when it is or comes into force."""
    span = next_overlap(spec, now_ms, now_ms + SPAN_MS_MAX)
    return scheduler_pb2.Window(
        name=spec.name,
        start_ms=spec.start_ms,
        length_ms=spec.length_ms,
        nodes=spec.nodes,
        every_ms=spec.every_ms,
        users=spec.users,
        queues=spec.queues,
        maintenance=spec.maintenance,
        until_ms=spec.until_ms,
        next_start_ms=span[0] if span else 0,
        in_force=span is not None and span[0] <= now_ms,
    )
