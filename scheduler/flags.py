"""What massd's flags may say: addresses, times, GPU-hours, levels; what goes with what."""

import contextlib
import ipaddress
import re
from typing import Any

import click

from aimass.policies.registry import ORDERS, make_policy

LEVELS_MAX = 8
GPU_HOURS_MAX = 1e9
_LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,252}")


def address(text: str, option: str, insecure: bool) -> tuple[str, int]:
    """HOST, PORT of a text; addresses beyond this machine only if said to be insecure."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint=option)
    host = host.strip("[]") or "127.0.0.1"
    if not insecure and not _is_loopback(host):
        raise click.BadParameter(
            f"{host} is not this machine alone, and there is no authentication yet: whoever "
            "reaches the port can run commands. Keep to 127.0.0.1 (and an SSH tunnel), or say "
            "--insecure on a network you trust",
            param_hint=option,
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class Duration(click.ParamType[float]):
    """Seconds from `90s`, `10m`, `1.5h`, `200ms`, `2d`, or a bare number of seconds."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See the class."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a time such as 90s, 10m or 200ms", param, ctx)
        return float(match[1]) * {"ms": 0.001, "m": 60, "h": 3600, "d": 86400}.get(match[2], 1)


class GpuHours(click.ParamType[float]):
    """GPU-hours from `10gpuh`, `0.5gpuh`, or a bare number; `none`: as many as there are."""

    name = "GPUH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See the class."""
        if value == "none":
            return GPU_HOURS_MAX
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(gpuh)?", str(value).strip())
        if match is None or float(match[1]) > GPU_HOURS_MAX:
            self.fail(f"{value!r} is not GPU-hours such as 10gpuh, or none", param, ctx)
        return float(match[1])


def levels(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    """Labels from `block,rack`, the widest first; none at all from `none`."""
    if text is None:
        return None
    levels = tuple(name.strip() for name in text.split(",")) if text != "none" else ()
    if len(set(levels)) < len(levels) or not all(_LEVEL.fullmatch(name) for name in levels):
        raise click.BadParameter(f"{text!r}: names of node labels, each once, as block,rack")
    if len(levels) > LEVELS_MAX:
        raise click.BadParameter(f"{len(levels)} levels: at most {LEVELS_MAX}")
    return levels


def refuse_idle_moves(order: str, promises: int, moves: int) -> None:
    """Raise UsageError for moves where nobody is promised a start: nobody would ever be moved."""
    if not moves or _promises(order, promises):
        return
    if promises:
        others = ", ".join(name for name in ORDERS if _promises(name, promises))
        cause, fix = (
            f"--order {order}",
            f"leave out --moves, or choose an order that does: {others}",
        )
    else:
        cause, fix = "--promises 0", "leave out --moves, or --promises 0"
    raise click.UsageError(
        f"--moves {moves} would move nobody: it is for jobs that are promised a start, and with "
        f"{cause} nobody is. Fix: {fix}"
    )


def _promises(order: str, promises: int) -> bool:
    policy = make_policy(order, promises=promises)
    return policy.options.promises > 0 and not policy.order.is_strict
