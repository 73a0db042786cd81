"""The flags of massctl that describe a job, and the spec that they make of a file or a command."""

import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aimass import units
from aimass.cli_base import (
    CPUS,
    DURATION,
    GPUS,
    LONG,
    MEMORY,
    SHARE,
    SPAN,
    TEXT,
    TIME,
    Function,
    Parsed,
    command_after_dashes,
    live,
)
from aimass.errors import InvalidRequest
from aimass.flag_checks import conditions, refuse_longer

if TYPE_CHECKING:
    from aimass.v1 import job_pb2

ROLE_FLAGS = {
    "gpus": "--gpus",
    "gpu_share": "--gpu-share",
    "cpus": "--cpus",
    "memory": "--memory",
    "shards": "--shards",
    "gpu_types": "--gpu-type",
    "elastic": "--elastic",
    "elastic_interval": "--elastic-interval",
}
CONDITIONS = ("success", "any", "failure", "each")
LATE_MS = 60_000  # a start time that has just gone by means "now"

AFTER_ALLOWED = f"JOB or JOB:CONDITION, the condition one of {', '.join(CONDITIONS)}"
ARRAY_ALLOWED = "indexes, and how many at once: 0-99, 0-98:2,200, 0-99%8"
ELASTIC_ALLOWED = "MIN-MAX or MIN-MAX:STEP, as 2-8:2"
PREFER_ALLOWED = "LEVEL, or LEVEL:WAIT as rack:10m"


def _after(value: object) -> tuple[str, str]:
    """Turn "j12:any" into ("j12", "any")."""
    job, colon, condition = str(value).partition(":")
    if not job or (colon and condition not in CONDITIONS):
        raise ValueError(AFTER_ALLOWED)
    return job, condition or "success"


def _array(value: object) -> tuple[tuple[int, ...], int]:
    """Turn "0-99%8" into the indexes and 8; no limit is 0."""
    text, percent, most = str(value).partition("%")
    if percent and not (most.isascii() and most.isdigit() and 0 < int(most[:10]) < 2**31):
        raise ValueError(ARRAY_ALLOWED)
    return units.indexes(text), int(most or 0)


def _elastic(value: object) -> tuple[int, int, int]:
    """Turn "2-8:2" into (2, 8, 2)."""
    sizes, colon, step = str(value).partition(":")
    words = [*sizes.split("-"), step if colon else "1"]
    if len(words) != 3 or not all(w.isascii() and w.isdigit() and len(w) < 6 for w in words):
        raise ValueError(ELASTIC_ALLOWED)
    low, high, by = map(int, words)
    if not 1 <= low <= high or by < 1:
        raise ValueError(f"{ELASTIC_ALLOWED}: from 1, MIN at most MAX, STEP from 1")
    if by > high - low > 0:
        raise ValueError(f"{ELASTIC_ALLOWED}: STEP at most {high - low}, or it has one size")
    return low, high, by


def _preferred(value: object) -> tuple[str, int]:
    """Turn "rack:10m" into ("rack", 600000)."""
    level, colon, wait = str(value).partition(":")
    if not level:
        raise ValueError(PREFER_ALLOWED)
    return level, units.span_ms(wait) if colon else 0


AFTER, ARRAY = Parsed("after", _after), Parsed("array", _array)
ELASTIC, PREFERRED = Parsed("elastic", _elastic), Parsed("preferred", _preferred)


def _complete_after(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from aimass.completion import job_ids

    job, colon, _begun = incomplete.partition(":")
    words = [f"{job}:{one}" for one in CONDITIONS] if colon else job_ids(job)
    return [word for word in words if word.startswith(incomplete)]


def _complete_nodes(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from aimass.completion import node_ids

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in node_ids(last)]


_OPTIONS: list[Callable[[Any], Any]] = [
    click.argument("files", nargs=-1, metavar="FILE|-|-- COMMAND…"),
    click.option("--name", type=TEXT, help="Default: the file's name, or the command's."),
    click.option(
        "-q",
        "--queue",
        type=TEXT,
        shell_complete=live("queue_names"),
        help="Default: the queue default.",
    ),
    click.option("--gpus", type=GPUS, metavar="N", help="GPUs per shard: 2, or a share: 0.25."),
    click.option(
        "--gpu-share", type=SHARE, metavar="SIZE", help="A share of one GPU by memory: 20GiB."
    ),
    click.option(
        "--gpu-type", "gpu_types", type=TEXT, multiple=True, help="Device model; repeatable."
    ),
    click.option("--cpus", type=CPUS, metavar="N", help="CPU cores per shard. Default: 1."),
    click.option("--memory", type=MEMORY, metavar="SIZE", help="Memory per shard: 64GiB."),
    click.option("--shards", type=click.IntRange(1, 4096), help="Processes. Default: 1."),
    click.option(
        "--elastic",
        type=ELASTIC,
        metavar="MIN-MAX[:STEP]",
        help="Any of these sizes: asks for MIN, or --shards; may grow later.",
    ),
    click.option(
        "--elastic-interval", type=SPAN, metavar="TIME", help="From a start to a resize: 10m."
    ),
    click.option("--priority", type=click.IntRange(-1_000_000, 1_000_000), help="Larger first."),
    click.option("--env", multiple=True, metavar="K=V", help="Environment; repeatable."),
    click.option("--workdir", type=TEXT, help="Where it runs, on the nodes. Default: here."),
    click.option("-t", "--time", "limit", type=LONG, metavar="TIME", help="Stopped after: 12h."),
    click.option("--expected", type=LONG, metavar="TIME", help="How long it will run: helps."),
    click.option("--begin", type=TIME, metavar="WHEN", help="Not before: 2026-11-22T01:00Z, +2h."),
    click.option("--deadline", type=TIME, metavar="WHEN", help="Fails if not over by then."),
    click.option(
        "--after",
        type=AFTER,
        multiple=True,
        metavar="JOB[:CONDITION]",
        shell_complete=_complete_after,
        help=f"After a job's end: {', '.join(CONDITIONS)}; repeatable.",
    ),
    click.option("--array", type=ARRAY, metavar="RANGE[%N]", help="Tasks, N at once: 0-99%8."),
    click.option("--retries", type=click.IntRange(0, 100), help="Tries after a failure."),
    click.option(
        "--preemptible/--not-preemptible",
        default=None,
        help="Whether others may take its place. Default: they may.",
    ),
    click.option("--min-runtime", type=SPAN, metavar="TIME", help="Not preempted before that."),
    click.option(
        "--checkpoint-signal", type=click.Choice(units.SIGNALS), help="Sent before it is stopped."
    ),
    click.option(
        "--notice", type=DURATION, metavar="TIME", help="From that signal to SIGTERM. Default: 1m."
    ),
    click.option("--grace", type=DURATION, metavar="TIME", help="From SIGTERM to SIGKILL."),
    click.option("--spread", is_flag=True, help="On as many nodes as possible."),
    click.option("--exclusive", is_flag=True, help="No other job on its nodes."),
    click.option(
        "--exclude",
        type=TEXT,
        multiple=True,
        metavar="NODE,…",
        shell_complete=_complete_nodes,
        help="Never on these; repeatable.",
    ),
    click.option(
        "--toleration",
        type=TEXT,
        multiple=True,
        metavar="KEY[=VALUE]",
        help="A taint; repeatable.",
    ),
    click.option("--topology", type=TEXT, metavar="LEVEL", help="All shards within one, as rack."),
    click.option(
        "--prefer-topology", type=PREFERRED, metavar="LEVEL[:WAIT]", help="The same, if possible."
    ),
    click.option("--allow-future", is_flag=True, help="Even if no present nodes could hold it."),
    click.option("--idempotency-key", metavar="KEY", help="The same key gives the same job."),
]


def job_options(function: Function) -> Function:
    """Add the file argument and the flags that describe a job."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def spec_from(flags: dict[str, Any]) -> "job_pb2.JobSpec":
    """Make the spec: from the file or the command, then the flags on top."""
    files, command = flags["files"], command_after_dashes()
    if flags["idempotency_key"] == "":  # an unset variable: every such job would count as one
        raise click.BadParameter("is empty", param_hint="--idempotency-key")
    if len(files) + (command is not None) != 1:
        words = shlex.join(files or ["python", "train.py"])
        raise InvalidRequest(
            "give one job file, or a command after --",
            fix=f"{click.get_current_context().command_path} -- {words}",
        )
    if command is not None:
        spec = _spec_of_command(command)
    else:
        from aimass.jobfile import load, parse, read_stdin

        is_stdin = files[0] == "-"
        spec = parse(read_stdin(), "-") if is_stdin else load(Path(files[0]))
    _apply_flags(spec, flags)
    _apply_placement(spec, flags)
    _apply_lifecycle(spec, flags)
    refuse_longer(spec.expected_ms, spec.walltime_ms)
    if any(flags[flag] not in (None, ()) for flag in ROLE_FLAGS):  # 0 is a value too
        _apply_to_role(spec, flags)
    return spec


def _spec_of_command(command: list[str]) -> "job_pb2.JobSpec":
    from aimass.v1 import job_pb2
    from aimass.wire import DEFAULT_GRACE_MS, name_from

    if not command or not command[0]:
        raise click.UsageError("no command after --")
    return job_pb2.JobSpec(
        name=name_from(os.path.basename(command[0])),
        kind=job_pb2.JOB_KIND_TRAIN,
        roles=[
            job_pb2.Role(
                name="worker",
                shards=1,
                command=command,
                resources=job_pb2.Resources(cpu_milli=1000),  # as in a job file that names none
            )
        ],
        workdir=os.getcwd(),
        grace_ms=DEFAULT_GRACE_MS,
    )


def _apply_flags(spec: "job_pb2.JobSpec", flags: dict[str, Any]) -> None:
    for flag, field in (
        *(("name", "name"), ("priority", "priority"), ("grace", "grace_ms"), ("queue", "queue")),
        *(("limit", "walltime_ms"), ("expected", "expected_ms")),
        *(("begin", "start_after_ms"), ("deadline", "deadline_ms")),
    ):
        if flags[flag] is not None:
            setattr(spec, field, flags[flag])
    if flags["preemptible"] is not None:
        spec.not_preemptible = not flags["preemptible"]
    if flags["workdir"] is not None:
        spec.workdir = os.path.abspath(flags["workdir"])
    for pair in flags["env"]:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair!r} is not K=V", param_hint="--env")
        spec.env[key] = value
    now_ms = time.time_ns() // 1_000_000
    for flag, late_ms in (("begin", LATE_MS), ("deadline", 0)):
        if flags[flag] is not None and flags[flag] < now_ms - late_ms:
            text = f"{units.time_text(flags[flag])} has gone by; give a time to come, as +2h"
            raise click.BadParameter(text, param_hint=f"--{flag}")


def _apply_placement(spec: "job_pb2.JobSpec", flags: dict[str, Any]) -> None:
    from aimass.v1 import job_pb2

    if flags["spread"]:
        spec.strategy = job_pb2.STRATEGY_SPREAD
    spec.exclusive_node |= flags["exclusive"]
    spec.allow_future |= flags["allow_future"]
    excluded = [name for names in flags["exclude"] for name in names.split(",") if name]
    if flags["exclude"] and not excluded:
        raise click.BadParameter("names no node", param_hint="--exclude")
    spec.exclude_nodes.extend(excluded)
    spec.tolerations.extend(flags["toleration"])
    if flags["topology"] is not None:
        spec.topology.required = flags["topology"]
    if flags["prefer_topology"] is not None:
        spec.topology.preferred, spec.topology.wait_ms = flags["prefer_topology"]


def _apply_lifecycle(spec: "job_pb2.JobSpec", flags: dict[str, Any]) -> None:
    from aimass.v1 import job_pb2
    from aimass.wire import DEFAULT_NOTICE_MS

    for job, condition in conditions(flags["after"]).items():
        one = next((one for one in spec.depends_on if one.job_id == job), None)
        one = one or spec.depends_on.add(job_id=job)
        number: Any = job_pb2.DependsOn.Value(f"DEPENDS_ON_{condition.upper()}")
        one.condition = number
    if flags["array"] is not None:
        indexes, most = flags["array"]
        spec.array.CopyFrom(job_pb2.Array(indexes=indexes, max_parallel=most))
    if flags["retries"] is not None:
        spec.retry.limit = flags["retries"]
    if flags["min_runtime"] is not None:
        spec.preemption.min_runtime_ms = flags["min_runtime"]
    if flags["checkpoint_signal"] is not None:
        spec.checkpoint.notice_ms = spec.checkpoint.notice_ms or DEFAULT_NOTICE_MS
        spec.checkpoint.signal = flags["checkpoint_signal"]
    if flags["notice"] is not None:
        if not spec.checkpoint.signal:
            raise InvalidRequest(
                "--notice gives time to checkpoint, but no signal asks for it",
                fix=f"--checkpoint-signal SIGUSR1 --notice {units.duration_text(flags['notice'])}",
            )
        spec.checkpoint.notice_ms = flags["notice"]


def _apply_to_role(spec: "job_pb2.JobSpec", flags: dict[str, Any]) -> None:
    if len(spec.roles) != 1:
        names = ", ".join(role.name for role in spec.roles)
        raise InvalidRequest(
            f"{', '.join(ROLE_FLAGS.values())}: the file has several roles ({names})",
            fix="set them in the file, for each role",
        )
    role, need = spec.roles[0], spec.roles[0].resources
    for flag, field in (("gpus", "gpu_milli"), ("cpus", "cpu_milli"), ("memory", "memory_mib")):
        if flags[flag] is not None:
            setattr(need, field, flags[flag])
    if flags["gpus"] is not None and flags["gpu_share"] is not None:
        raise InvalidRequest(
            "--gpus and --gpu-share both say how much of a GPU", fix="give one of them"
        )
    if flags["gpus"] is not None:
        need.gpu_share_mib = 0
    if flags["gpu_share"] is not None:
        need.gpu_milli, need.gpu_share_mib = 0, flags["gpu_share"]
    if flags["shards"] is not None:
        role.shards = flags["shards"]
    if flags["gpu_types"]:
        role.gpu_types[:] = flags["gpu_types"]
        role.gpu_types_in_order = False
    if flags["elastic"] is not None:
        apply_elastic(role, *flags["elastic"], is_size_given=flags["shards"] is not None)
    if flags["elastic_interval"] is not None:
        apply_interval(role, flags["elastic_interval"])


def apply_elastic(
    role: "job_pb2.Role", low: int, high: int, step: int, *, is_size_given: bool
) -> None:
    """Make the role elastic; a size that nobody named on the command line gives way to it."""
    elastic = role.elastic
    elastic.min_shards, elastic.max_shards, elastic.step = low, high, step
    if low <= role.shards <= high and (role.shards - low) % step == 0:
        return
    if is_size_given:
        raise InvalidRequest(
            f"--shards {role.shards} is none of the sizes of --elastic {low}-{high}:{step}",
            fix=f"--shards {low}, or sizes that include {role.shards}",
        )
    role.shards = low


def apply_interval(role: "job_pb2.Role", interval_ms: int) -> None:
    """Set how long the elastic role runs in one size at least."""
    if not role.HasField("elastic"):
        raise InvalidRequest(
            f"--elastic-interval: role {role.name} has one size, nothing resizes it",
            fix="give its sizes as well, as --elastic 2-8:2",
        )
    role.elastic.interval_ms = interval_ms
