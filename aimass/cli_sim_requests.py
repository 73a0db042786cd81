"""massctl sim generate --requests: a log of requests as a trace of the replicas it calls for."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from aimass.cli_base import DURATION, Parsed
from aimass.cli_sim_base import installed, refusals
from aimass.cli_sim_options import FIX
from aimass.errors import InvalidRequest
from aimass.output import hint

_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?\Z")


class Requests(NamedTuple):
    """What the options say. file: None: nothing of requests."""

    file: Path | None
    per_replica_milli: int | None
    interval_ms: int


def parse_rate(text: object) -> int:
    """Turn "0.5" into thousandths. Raises ValueError with what is allowed."""
    if not _RATE.match(str(text)) or not float(str(text)):
        raise ValueError("requests a second, above 0, with at most three decimals")
    return round(1000 * float(str(text)))


def requests_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give --requests, --per-replica and --interval, together as `requests`."""

    def together(
        *args: Any,
        requests_file: Path | None,
        per_replica_milli: int | None,
        interval_ms: int,
        **others: Any,
    ) -> None:
        found = Requests(requests_file, per_replica_milli, interval_ms)
        function(*args, requests=found, **others)

    together.__name__, together.__doc__ = function.__name__, function.__doc__
    options = (
        click.option(
            "--requests",
            "requests_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A log of requests to a service (Azure, Mooncake, Alibaba): the jobs are the "
            "replicas that it calls for, of the one size and type given.",
        ),
        click.option(
            "--per-replica",
            "per_replica_milli",
            type=Parsed("per-replica", parse_rate),
            default=None,
            metavar="N",
            help="Requests a second that one replica serves.",
        ),
        click.option(
            "--interval",
            "interval_ms",
            type=DURATION,
            default="1m",
            show_default=True,
            metavar="TIME",
            help="How often replicas are added and removed.",
        ),
    )
    for option in reversed(options):
        together = option(together)
    return together


def write_replicas(
    log: Path,
    requests: Requests,
    sizes: Sequence[tuple[int, float]],
    types: Sequence[tuple[tuple[str, ...], float]],
    out_file: Path | None,
) -> None:
    """Write the trace. Raises InvalidRequest."""
    if requests.per_replica_milli is None:
        fix = "say how many requests a second one serves: --per-replica 0.5"
        raise InvalidRequest("--requests without --per-replica", fix=fix)
    if len(sizes) > 1 or len(types) > 1 or not requests.interval_ms:
        what = "replicas have one size, one GPU type and an interval above 0"
        raise InvalidRequest(what, fix="give --sizes 4:1 --gpu-types H100:1 --interval 1m")
    with installed():
        from aimass.simulator import requests as logs
        from aimass.simulator import trace_targets
        from aimass.simulator.tracejob import TraceJob
    (((gpu_milli, _),), ((gpu_types, _),)) = sizes, types

    def shape(name: str, submit_ms: int, work_ms: int) -> Any:
        return TraceJob(name, submit_ms, work_ms, gpu_milli, user=logs.USER, gpu_types=gpu_types)

    with refusals(FIX):
        counts = logs.counted(logs.request_times_ms(log), requests.interval_ms)
        jobs = logs.replica_jobs(counts, requests.interval_ms, requests.per_replica_milli, shape)
        made = trace_targets.write_as_named(jobs, out_file)
    hint(f"{sum(counts)} requests in {len(counts)} intervals call for {made} replicas in all")
