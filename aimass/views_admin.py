"""Queues, shares and reservations as people and programs see them: columns and dictionaries."""

from collections.abc import Sequence
from typing import Any

from aimass import amounts, units
from aimass.output import Column, clean
from aimass.specview import API_VERSION
from aimass.tables import now_ms, some
from aimass.v1 import scheduler_pb2
from aimass.views import time_view

PPM = 1_000_000
PRIORITY_MIN, PRIORITY_MAX = -1_000_000, 1_000_000


def _number_view(given: scheduler_pb2.Amounts) -> dict[str, Any]:
    """Amounts in people's units: GPUs and cores as numbers, memory with its unit."""
    return {
        key: units.memory_text(amount) if key == "memory" else units.number(amount)
        for key, amount in sorted(given.of.items())
        if amount
    }


def _bound_view(given: scheduler_pb2.Amounts) -> dict[str, Any]:
    """The same of a rule, in which a 0 bounds as well."""
    return {
        key: units.memory_text(amount) if key == "memory" else units.number(amount)
        for key, amount in sorted(given.of.items())
    }


def _cell_view(state: scheduler_pb2.CellState) -> dict[str, Any]:
    """One cell of a reserve; used where own jobs are, missing whoever were stopped."""
    cell = state.cell
    return {
        "gpus": cell.gpus,
        "model": cell.model,
        "shards": cell.shards,
        "level": cell.level or None,
        "count": cell.count,
        "used": state.used,
        "missing": state.missing,
    }


def queue_view(queue: scheduler_pb2.Queue) -> dict[str, Any]:
    """Give one queue: its rules, then its accounts."""
    spec = queue.spec
    return {
        "apiVersion": API_VERSION,
        "kind": "Queue",
        "name": spec.name,
        "parent": spec.parent,
        "weight": spec.weight,
        "quota": _bound_view(spec.quota),
        "reserve": [_cell_view(state) for state in queue.cells],
        "limit": _bound_view(spec.limit),
        "borrowLimit": _bound_view(spec.borrow_limit),
        "lendLimit": _bound_view(spec.lend_limit),
        "reclaim": spec.reclaim,
        "maxJobs": spec.max_jobs,
        "maxQueued": spec.max_queued,
        "jobLimit": _bound_view(spec.job_limit),
        "maxWalltimeMs": spec.max_walltime_ms,
        "priorityMin": spec.priority_min,
        "priorityMax": spec.priority_max,
        "minRuntimeMs": spec.min_runtime_ms,
        "halfLifeMs": spec.half_life_ms,
        "used": _number_view(queue.used),
        "leaving": _number_view(queue.leaving),
        "claimed": _number_view(queue.claimed),
        "firm": _number_view(queue.firm),
        "active": queue.active,
        "queued": queue.queued,
    }


def share_view(queue: scheduler_pb2.Queue) -> dict[str, Any]:
    """Give one row of the share report; shares are fractions of the cluster."""
    return {
        "name": queue.spec.name,
        "parent": queue.spec.parent,
        "depth": queue.depth,
        "weight": queue.spec.weight,
        "dominant": queue.dominant,
        "share": queue.share_ppm / PPM,
        "past": queue.past_ppm / PPM,
        "fair": queue.fair_ppm / PPM,
        "entitled": queue.entitled_ppm / PPM,
        "used": _number_view(queue.used),
        "guarantee": _number_view(queue.guarantee),
        "borrowed": _number_view(queue.borrowed),
        "lent": _number_view(queue.lent),
        "active": queue.active,
        "queued": queue.queued,
    }


def window_view(window: scheduler_pb2.Window) -> dict[str, Any]:
    """Give one reservation."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Reservation",
        "name": window.name,
        "nodes": list(window.nodes),
        "startAt": time_view(window.start_ms),
        "lengthMs": window.length_ms,
        "everyMs": window.every_ms,
        "untilAt": time_view(window.until_ms),
        "users": list(window.users),
        "queues": list(window.queues),
        "maintenance": window.maintenance,
        "nextStartAt": time_view(window.next_start_ms),
        "inForce": window.in_force,
    }


def _tree_name(queue: scheduler_pb2.Queue) -> str:
    return "  " * queue.depth + queue.spec.name


def _gpus(given: scheduler_pb2.Amounts) -> str:
    """The number of GPUs; where only models are bounded, these: `gpu:H100=16`."""
    if "gpu" in given.of:
        return amounts.amount_text("gpu", given.of["gpu"])
    models = {key: amount for key, amount in given.of.items() if key.startswith("gpu:")}
    return amounts.amounts_text(models) if models else ""


def _rest(given: scheduler_pb2.Amounts) -> str:
    """What is not the plain number of GPUs."""
    rest = {key: amount for key, amount in given.of.items() if key != "gpu"}
    return amounts.amounts_text(rest) if rest else ""


def _some(given: scheduler_pb2.Amounts) -> str:
    return amounts.amounts_text(dict(given.of)) if given.of else ""


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.1f}%"


Queues = Sequence[Column[scheduler_pb2.Queue]]

QUEUES: Queues = (
    Column("QUEUE", _tree_name),
    Column("WEIGHT", lambda queue: str(queue.spec.weight), is_right=True),
    Column("GPUS", lambda queue: amounts.amount_text("gpu", queue.used.of["gpu"]), is_right=True),
    Column("QUOTA", lambda queue: _gpus(queue.spec.quota), is_right=True),
    Column("LIMIT", lambda queue: _gpus(queue.spec.limit), is_right=True),
    Column("OTHER-QUOTA", lambda queue: _rest(queue.spec.quota), is_wide=True),
    Column("OTHER-LIMIT", lambda queue: _rest(queue.spec.limit), is_wide=True),
    Column("ACTIVE", lambda queue: str(queue.active), is_right=True),
    Column("QUEUED", lambda queue: str(queue.queued), is_right=True),
    Column(
        "RESERVE", lambda queue: ",".join(map(_cell_text, queue.spec.reserve.cells)), is_wide=True
    ),
)

SHARES: Queues = (
    Column("QUEUE", _tree_name),
    Column("WEIGHT", lambda queue: str(queue.spec.weight), is_right=True),
    Column("SHARE", lambda queue: _percent(queue.share_ppm), is_right=True),
    Column("PAST", lambda queue: _percent(queue.past_ppm), is_right=True),
    Column("ENTITLED", lambda queue: _percent(queue.entitled_ppm), is_right=True),
    Column("FAIR", lambda queue: _percent(queue.fair_ppm), is_right=True),
    Column("MOST", lambda queue: queue.dominant),
    Column("GPUS", lambda queue: amounts.amount_text("gpu", queue.used.of["gpu"]), is_right=True),
    Column("ACTIVE", lambda queue: str(queue.active), is_right=True),
    Column("QUEUED", lambda queue: str(queue.queued), is_right=True),
    Column("BORROWED", lambda queue: _some(queue.borrowed), is_wide=True),
    Column("LENT", lambda queue: _some(queue.lent), is_wide=True),
)


def queue_screen(queue: scheduler_pb2.Queue) -> str:
    """Lay out one queue: every rule that bounds something, then the accounts."""
    spec = queue.spec
    rows = [
        ("parent", spec.parent),
        ("weight", str(spec.weight)),
        *_amount_rows(spec),
        *_cell_rows(queue),
        ("reclaim", "takes its quota back from borrowers" if spec.reclaim else "no"),
        ("jobs", f"{queue.active} active{_at_most(spec.max_jobs)}"),
        ("queued", f"{queue.queued} waiting{_at_most(spec.max_queued)}"),
        ("half-life", units.span_text(spec.half_life_ms)),
    ]
    if spec.max_walltime_ms:
        rows.append(("walltime", f"at most {units.span_text(spec.max_walltime_ms)}"))
    if spec.min_runtime_ms:
        rows.append(("safe for", units.span_text(spec.min_runtime_ms)))
    if (spec.priority_min, spec.priority_max) != (PRIORITY_MIN, PRIORITY_MAX):
        rows.append(("priority", f"{spec.priority_min} to {spec.priority_max}"))
    for title in ("used", "leaving", "claimed", "firm"):
        row: scheduler_pb2.Amounts = getattr(queue, title)
        held = {key: amount for key, amount in row.of.items() if amount}
        if held or title == "used":
            rows.append((title, amounts.amounts_text(held)))
    lines = [f"queue {clean(spec.name)}", *(f"  {title:<11}{clean(text)}" for title, text in rows)]
    return "\n".join(lines) + "\n"


def _amount_rows(spec: scheduler_pb2.QueueSpec) -> list[tuple[str, str]]:
    fields = ("quota", "limit", "borrow_limit", "lend_limit", "job_limit")
    found: list[tuple[str, str]] = []
    for field in fields:
        bounds: scheduler_pb2.Amounts = getattr(spec, field)
        if bounds.of:
            found.append((field.replace("_limit", " limit"), amounts.amounts_text(dict(bounds.of))))
    return found


def _cell_text(cell: scheduler_pb2.Cell) -> str:
    return amounts.cell_text((cell.count, cell.shards, cell.gpus, cell.model, cell.level))


def _cell_rows(queue: scheduler_pb2.Queue) -> list[tuple[str, str]]:
    """A row for each shape that it has in reserve, and how many of these are there."""
    rows = []
    for state in queue.cells:
        ready = state.cell.count - state.used - state.missing
        text = f"{_cell_text(state.cell)}: {state.used} in use, {ready} to be had"
        lacking = f", {state.missing} missing (nodes are gone, or jobs of others stay there)"
        rows.append(("reserve", text + (lacking if state.missing else "")))
    return rows


def _at_most(limit: int) -> str:
    return f", at most {limit}" if limit else ""


def _when(window: scheduler_pb2.Window) -> str:
    if window.in_force:
        return "now"
    if not window.next_start_ms:
        return "over"
    return f"in {units.span_text(window.next_start_ms - now_ms())}"


def _who(window: scheduler_pb2.Window) -> str:
    if window.maintenance:
        return "nobody (maintenance)"
    return ",".join([*window.users, *(f"queue:{name}" for name in window.queues)])


WINDOWS: Sequence[Column[scheduler_pb2.Window]] = (
    Column("NAME", lambda window: window.name),
    Column("WHEN", _when),
    Column("START", lambda window: time_view(window.next_start_ms or window.start_ms) or ""),
    Column("LENGTH", lambda window: units.span_text(window.length_ms), is_right=True),
    Column("EVERY", lambda window: units.span_text(window.every_ms) if window.every_ms else "once"),
    Column("FOR", _who),
    Column("NODES", lambda window: some(list(window.nodes))),
    Column("UNTIL", lambda window: time_view(window.until_ms) or "", is_wide=True),
)
