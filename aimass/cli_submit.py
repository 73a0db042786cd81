"""massctl submit and run: a job file, or a command after `--`, with flags on top."""

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from aimass.background import Background, raising_on
from aimass.cli_base import JobCommand, Session, common_options, output_option
from aimass.cli_spec import job_options, spec_from
from aimass.errors import InvalidRequest
from aimass.output import clean, hint, print_value

if TYPE_CHECKING:
    from aimass.client import Client
    from aimass.v1 import job_pb2, scheduler_pb2


@click.command(
    cls=JobCommand,
    examples="""
    massctl submit train.yaml
    massctl submit --gpus 2 --shards 4 --env LR=1e-4 -- python train.py
    massctl submit train.yaml --queue research --time 12h --elastic 2-8:2
    massctl submit --array 0-99%8 --after j12 --retries 3 -- python eval.py
    id=$(massctl submit train.yaml -o name) && massctl wait "$id"
    """,
)
@job_options
@click.option("--hold", is_flag=True, help="Accept it, but start it only after massctl release.")
@click.option("--dry-run", is_flag=True, help="Only say what would happen, as massctl plan does.")
@click.option("--wait", is_flag=True, help="Return when it is over, with its exit code.")
@click.option("-f", "--follow", is_flag=True, help="Print its output; return as --wait does.")
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def submit(
    session: Session,
    /,
    hold: bool,
    dry_run: bool,
    wait: bool,
    follow: bool,
    form: str,
    **flags: Any,
) -> int:
    """Submit a job: a job file, - for one on stdin, or a command after --.

    Flags win over the file; --env, --after, --toleration and --exclude add to it. The job runs
    until it ends, whatever becomes of this terminal.
    """
    from aimass.cli_jobs import report_end
    from aimass.cli_logs import print_logs

    spec = spec_from(flags)
    if dry_run:
        from aimass.cli_why import show_plan

        return show_plan(session, spec, form)
    if follow:
        _refuse_array(spec)
    client = session.client()  # not closed: after Ctrl-C a call is still under way
    _resolve_last(client, spec)
    reply = client.submit(spec, idempotency_key=flags["idempotency_key"], held=hold)
    _print_warnings(reply)
    if not (wait or follow) or form == "name":
        _print_submitted(reply, spec, form)
    if not (wait or follow):
        hint(f"next: {_next_step(reply.job_id, spec, hold)}")
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


def _resolve_last(client: "Client", spec: "job_pb2.JobSpec") -> None:
    """Write the id where --after says @last: the spec itself must stay true when it is read."""
    for one in spec.depends_on:
        if one.job_id == "@last":
            one.job_id = client.get("@last").id


def _refuse_array(spec: "job_pb2.JobSpec") -> None:
    if len(spec.array.indexes) > 0:
        raise InvalidRequest(
            f"the output of an array's {len(spec.array.indexes)} tasks cannot be followed as one",
            fix="massctl submit, with --wait or without; then massctl logs -f with a task's id",
        )


def _next_step(job_id: str, spec: "job_pb2.JobSpec", is_held: bool) -> str:
    if is_held:
        return f"massctl release {job_id}"
    if len(spec.array.indexes) > 0:
        return f"massctl ls --array {job_id}"
    return f"massctl logs -f {job_id}"


def _print_submitted(
    reply: "scheduler_pb2.SubmitReply", spec: "job_pb2.JobSpec", form: str
) -> None:
    job_id, indexes = reply.job_id, spec.array.indexes
    if form == "name":
        print(job_id, flush=True)
    elif form == "table":
        known = ": the job of the first submit with this key" if reply.existed else " submitted"
        tasks = f": {job_id}_{indexes[0]} to {job_id}_{indexes[-1]}" if indexes else ""
        print(f"{job_id} {spec.name}{known}{tasks}", flush=True)
    else:
        view: dict[str, Any] = {
            "apiVersion": "aimass/v1",
            "kind": "Submitted",
            "id": job_id,
            "name": spec.name,
        }
        view |= {"existed": reply.existed, "tasks": len(indexes) or None}
        print_value({**view, "warnings": list(reply.warnings)}, form)


def _print_warnings(reply: "scheduler_pb2.SubmitReply") -> None:
    for warning in reply.warnings:
        hint(f"warning: {clean(warning)}")


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

    spec = spec_from(flags)
    _refuse_array(spec)
    client = session.client()
    _resolve_last(client, spec)
    reply = client.submit(spec, idempotency_key=flags["idempotency_key"])
    _print_warnings(reply)
    job_id = reply.job_id
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
