"""SpeedOn messages for people: as a job file has them, and in words."""

from collections.abc import Iterable, Iterator
from typing import Any

from aimass.v1 import job_pb2

MICRO = 1_000_000  # of the speed for which a run time is given


def speeds_view(
    speeds: Iterable[job_pb2.SpeedOn],
) -> dict[str, Any] | list[dict[str, Any]] | None:
    """Give them as a job file does: by GPU type where that says all."""
    if all(one.gpu_type and not (one.gpus or one.nodes) for one in speeds):
        return {one.gpu_type: _number(one) for one in speeds} or None
    return [
        {
            **({"gpuType": one.gpu_type} if one.gpu_type else {}),
            **({"gpus": one.gpus} if one.gpus else {}),
            **({"nodes": one.nodes} if one.nodes else {}),
            "speed": _number(one),
        }
        for one in speeds
    ]


def speed_texts(speeds: Iterable[job_pb2.SpeedOn]) -> Iterator[str]:
    """Say each in a person's words: `1.8 times on A100, 4 GPUs, 1 node`."""
    for one in speeds:
        where = setting_text(one.gpu_type, one.gpus, one.nodes)
        yield f"{_number(one):g} times on {where}" if one.speed_micro else f"never on {where}"


def setting_text(gpu_type: str, gpus: int, nodes: int) -> str:
    """Say where: `A100, 4 GPUs, 1 node`."""
    parts = [gpu_type or "any model"]
    parts += [f"{gpus} GPU{'s' if gpus > 1 else ''}"] if gpus else []
    parts += [f"{nodes} node{'s at most' if nodes > 1 else ''}"] if nodes else []
    return ", ".join(parts)


def _number(one: job_pb2.SpeedOn) -> int | float:
    whole, rest = divmod(one.speed_micro, MICRO)
    return one.speed_micro / MICRO if rest else whole
