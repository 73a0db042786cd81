"""massctl submit and run: a job file, or a command after `--`, with flags on top."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aimass.background import Background, raising_on
from aimass.cli_base import (
    CPUS,
    DURATION,
    GPUS,
    MEMORY,
    Function,
    JobCommand,
    Session,
    command_after_dashes,
    common_options,
    output_option,
)
from aimass.errors import InvalidRequest
from aimass.output import hint, print_value

if TYPE_CHECKING:
    from aimass.v1 import job_pb2, scheduler_pb2

RESOURCE_FLAGS = ("gpus", "cpus", "memory", "shards", "gpu_types")


def job_options(function: Function) -> Function:
    """Add the file argument and the flags that describe a job."""
    options: list[Callable[[Any], Any]] = [
        click.argument("files", nargs=-1, metavar="FILE|-|-- COMMAND…"),
        click.option("--name", help="Default: the file's name, or the command's."),
        click.option("--gpus", type=GPUS, metavar="N", help="GPUs per shard: 2, or a share: 0.25."),
        click.option("--cpus", type=CPUS, metavar="N", help="CPU cores per shard. Default: 1."),
        click.option("--memory", type=MEMORY, metavar="SIZE", help="Memory per shard: 64GiB."),
        click.option("--shards", type=click.IntRange(1, 4096), help="Processes. Default: 1."),
        click.option(
            "--priority", type=click.IntRange(-1_000_000, 1_000_000), help="Larger first."
        ),
        click.option("--env", multiple=True, metavar="K=V", help="Environment; repeatable."),
        click.option("--workdir", help="Where it runs, on the nodes. Default: here."),
        click.option("--gpu-type", "gpu_types", multiple=True, help="Device model; repeatable."),
        click.option("--spread", is_flag=True, help="On as many nodes as possible."),
        click.option("--grace", type=DURATION, metavar="TIME", help="From SIGTERM to SIGKILL."),
        click.option("--idempotency-key", metavar="KEY", help="The same key gives the same job."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command(
    cls=JobCommand,
    examples="""
    massctl submit train.yaml
    massctl submit --gpus 2 --shards 4 --env LR=1e-4 -- python train.py
    id=$(massctl submit train.yaml -o name) && massctl wait "$id"
    """,
)
@job_options
@click.option("--wait", is_flag=True, help="Return when it is over, with its exit code.")
@click.option("-f", "--follow", is_flag=True, help="Print its output; return as --wait does.")
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def submit(session: Session, /, wait: bool, follow: bool, form: str, **flags: Any) -> int:
    """Submit a job: a job file, - for one on stdin, or a command after --.

    Flags win over the file. The job runs until it ends, whatever becomes of this terminal.
    """
    from aimass.cli_jobs import report_end
    from aimass.cli_logs import print_logs

    spec = spec_of(flags)
    client = session.client()  # not closed: after Ctrl-C a call is still under way
    reply = client.submit(spec, idempotency_key=flags["idempotency_key"])
    if not (wait or follow) or form == "name":
        _print_submitted(reply, spec.name, form)
    if not (wait or follow):
        hint(f"next: massctl logs -f {reply.job_id}")
        return 0

    def to_the_end() -> int:
        if follow:
            print_logs(client, reply.job_id, follow=True)
        job = client.wait(reply.job_id)
        return _exit_code(job) if form == "name" or follow else report_end(job, session, form)

    waiting = Background(to_the_end)
    with raising_on(signal.SIGINT):
        try:
            return waiting.result()
        except KeyboardInterrupt:
            hint(_goes_on(reply.job_id))
            return 130
        except BrokenPipeError:
            hint(_goes_on(reply.job_id))
            raise


def _exit_code(job: "job_pb2.Job") -> int:
    from aimass import wire
    from aimass.cli_jobs import end_line

    hint(end_line(job))
    return wire.exit_code_of(job)


def _goes_on(job_id: str) -> str:
    """Say what becomes of the job when the person, or who reads our output, leaves first."""
    return f"{job_id} goes on; massctl logs -f {job_id}, or massctl cancel {job_id}"


def _print_submitted(reply: "scheduler_pb2.SubmitReply", name: str, form: str) -> None:
    if form == "name":
        print(reply.job_id, flush=True)
    elif form == "table":
        known = ": the job of the first submit with this key" if reply.existed else " submitted"
        print(f"{reply.job_id} {name}{known}", flush=True)
    else:
        view = {"apiVersion": "aimass/v1", "kind": "Submitted", "id": reply.job_id, "name": name}
        print_value({**view, "existed": reply.existed}, form)


@click.command(
    cls=JobCommand,
    examples="""
    massctl run -- python train.py --epochs 3
    massctl run --gpus 1 --memory 16GiB -- bash -c 'nvidia-smi; env'
    massctl run train.yaml > train.log
    """,
)
@job_options
@common_options
@click.pass_obj
def run(session: Session, /, **flags: Any) -> int:
    """Submit a job, print its output as it comes, and return its own exit code.

    Ctrl-C asks whether to cancel the job or to leave it running; without a terminal it cancels.
    """
    from aimass.cli_logs import print_logs

    spec = spec_of(flags)
    client = session.client()
    job_id = client.submit(spec, idempotency_key=flags["idempotency_key"]).job_id
    hint(f"{job_id} submitted; if nothing comes: massctl why {job_id}")

    def follow() -> int:
        print_logs(client, job_id, follow=True)
        return _exit_code(client.wait(job_id))

    following = Background(follow)
    with raising_on(signal.SIGINT):
        choice = "g"
        while choice == "g":
            try:
                return following.result()
            except KeyboardInterrupt:
                choice = _ask(job_id)
            except BrokenPipeError:
                hint(_goes_on(job_id))
                raise
        if choice == "d":
            hint(_goes_on(job_id))
            return 130
        try:
            Background(lambda: client.cancel(job_id)).result()
            hint(f"{job_id} is being cancelled; Ctrl-C: do not wait for it")
            following.result()
        except KeyboardInterrupt:
            hint(f"not waiting; massctl show {job_id} tells what became of it")
    return 130


def _ask(job_id: str) -> str:
    """Ask what Ctrl-C meant: c, d or g. Without a terminal cancel; without an answer detach."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "c"
    sys.stderr.write(f"\n{job_id}: [c]ancel it, [d]etach and leave it running, [g]o on? ")
    sys.stderr.flush()
    try:
        answer = os.read(sys.stdin.fileno(), 100).decode(errors="replace").strip().lower()[:1]
    except KeyboardInterrupt:
        answer = "d"
    return answer if answer in ("c", "g") else "d"


def spec_of(flags: dict[str, Any]) -> "job_pb2.JobSpec":
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
    from aimass.v1 import job_pb2

    if flags["name"] is not None:
        spec.name = flags["name"]
    if flags["priority"] is not None:
        spec.priority = flags["priority"]
    if flags["grace"] is not None:
        spec.grace_ms = flags["grace"]
    if flags["workdir"] is not None:
        spec.workdir = os.path.abspath(flags["workdir"])
    if flags["spread"]:
        spec.strategy = job_pb2.STRATEGY_SPREAD
    for pair in flags["env"]:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair!r} is not K=V", param_hint="--env")
        spec.env[key] = value
    if any(flags[flag] not in (None, ()) for flag in RESOURCE_FLAGS):  # 0 is a value too
        _apply_resources(spec, flags)


def _apply_resources(spec: "job_pb2.JobSpec", flags: dict[str, Any]) -> None:
    if len(spec.roles) != 1:
        names = ", ".join(role.name for role in spec.roles)
        raise InvalidRequest(
            f"--gpus, --cpus, --memory, --shards, --gpu-type: the file has several roles ({names})",
            fix="set them in the file, for each role",
        )
    role = spec.roles[0]
    if flags["gpus"] is not None:
        role.resources.gpu_milli = flags["gpus"]
    if flags["cpus"] is not None:
        role.resources.cpu_milli = flags["cpus"]
    if flags["memory"] is not None:
        role.resources.memory_mib = flags["memory"]
    if flags["shards"] is not None:
        role.shards = flags["shards"]
    if flags["gpu_types"]:
        role.gpu_types[:] = flags["gpu_types"]
