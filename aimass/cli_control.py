"""massctl hold, release, requeue, suspend, update, scale: about jobs that are not over."""

from typing import TYPE_CHECKING, Any

import click

from aimass.cli_base import (
    LONG,
    TEXT,
    TIME,
    Command,
    Parsed,
    Session,
    common_options,
    job_argument,
    live,
    output_option,
)
from aimass.cli_jobs import act_on_jobs
from aimass.errors import InvalidRequest
from aimass.output import hint
from aimass.update_flags import NAMES, change_shape, shape_options

if TYPE_CHECKING:
    from aimass.client import Client
    from aimass.v1 import job_pb2

FORMATS = ("table", "json", "jsonl", "yaml", "name")


def _or_none(kind: Parsed) -> Parsed:
    """Allow `none` as well, which takes the limit away."""
    return Parsed(kind.name, lambda text: 0 if text == "none" else kind.parse(text))


@click.command(
    cls=Command,
    examples="""
    massctl hold j12
    massctl hold j12 j13 --reason 'waits for the new data'
    massctl hold j5
    """,
)
@job_argument("jobs", nargs=-1, required=True, metavar="JOB…")
@click.option("--reason", default="", help="Shown to whoever asks why it waits.")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def hold(session: Session, jobs: tuple[str, ...], reason: str, form: str) -> int:
    """Keep waiting jobs from starting until they are released. An array: all that waits of it."""
    return act_on_jobs(session, jobs, form, lambda client, job: client.hold(job, reason))


@click.command(
    cls=Command,
    examples="""
    massctl release j12
    massctl release j5
    massctl ls --state HELD -o name | xargs massctl release
    """,
)
@job_argument("jobs", nargs=-1, required=True, metavar="JOB…")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def release(session: Session, jobs: tuple[str, ...], form: str) -> int:
    """Let held jobs start again."""
    return act_on_jobs(session, jobs, form, lambda client, job: client.release(job))


@click.command(
    cls=Command,
    examples="""
    massctl requeue j12
    massctl requeue j12 j13
    massctl requeue @last -o json
    """,
)
@job_argument("jobs", nargs=-1, required=True, metavar="JOB…")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def requeue(session: Session, jobs: tuple[str, ...], form: str) -> int:
    """Stop active jobs, which queue again at once. It counts as no failure."""
    return act_on_jobs(session, jobs, form, lambda client, job: client.requeue(job))


@click.command(
    cls=Command,
    examples="""
    massctl suspend j12
    massctl suspend j12 j13
    massctl suspend j12 -o name | xargs massctl release
    """,
)
@job_argument("jobs", nargs=-1, required=True, metavar="JOB…")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def suspend(session: Session, jobs: tuple[str, ...], form: str) -> int:
    """Stop active jobs, which are then held: massctl release lets them go on."""
    return act_on_jobs(session, jobs, form, lambda client, job: client.suspend(job))


@click.command(
    cls=Command,
    examples="""
    massctl update j12 --priority 10
    massctl update j12 --queue vision --time 4h
    massctl update j12 --shards 4 --gpu-type any
    massctl update j12 --begin 2026-12-01T20:00Z --deadline none
    """,
)
@job_argument("jobs", nargs=-1, required=True, metavar="JOB…")
@click.option("--priority", type=click.IntRange(-1_000_000, 1_000_000), help="Larger first.")
@click.option("--queue", type=TEXT, shell_complete=live("queue_names"), help="Another queue.")
@click.option("--time", "walltime_ms", type=_or_none(LONG), metavar="TIME", help="Longest run.")
@click.option("--expected", "expected_ms", type=_or_none(LONG), metavar="TIME", help="Likely run.")
@click.option("--begin", "start_after_ms", type=_or_none(TIME), metavar="WHEN", help="Not before.")
@click.option("--deadline", "deadline_ms", type=_or_none(TIME), metavar="WHEN", help="Over by.")
@shape_options
@output_option(*FORMATS)
@common_options
@click.pass_obj
def update(session: Session, /, jobs: tuple[str, ...], form: str, **given: Any) -> int:
    """Change jobs that have not started; of an active one only priority and limits of time.

    `none` takes a limit away. WHEN: now, +2h, or a date such as 2026-12-01T09:00Z.
    """
    changes = {field: value for field, value in given.items() if value not in (None, ())}
    if not changes:
        raise InvalidRequest("nothing to change", fix="massctl update JOB --priority 10")

    def change(client: Any, name: str) -> "job_pb2.Job":
        job = client.get(name)
        updated: job_pb2.Job = client.update(job.id, _changed(job, changes), was=job.spec)
        return updated

    return act_on_jobs(session, jobs, form, change)


def _changed(job: "job_pb2.Job", changes: dict[str, Any]) -> "job_pb2.JobSpec":
    """Give the job's spec with the changes."""
    from aimass.v1 import job_pb2

    spec = job_pb2.JobSpec()
    spec.CopyFrom(job.spec)
    change_shape(job.id, spec, {name: changes.get(name) for name in NAMES})
    for field, value in changes.items():
        if field not in NAMES:
            setattr(spec, field, value)
    return spec


@click.command(
    cls=Command,
    examples="""
    massctl scale j12 4
    massctl scale @last 16
    massctl scale j12 2 -o json
    """,
)
@job_argument("job", metavar="JOB")
@click.argument("shards", type=click.IntRange(1, 4096), metavar="N")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def scale(session: Session, job: str, shards: int, form: str) -> int:
    """Let a job ask for N shards. An active one must be elastic, and N one of its sizes.

    It is not stopped for that: what it has beyond N goes to jobs that need it, and it grows to N,
    and beyond where GPUs idle, when its resize interval is over.
    """
    from aimass import views

    changed: list[job_pb2.Job] = []

    def change(client: "Client", name: str) -> "job_pb2.Job":
        was = client.get(name)
        changed.append(client.update(was.id, _changed(was, {"shards": shards}), was=was.spec))
        return changed[-1]

    act_on_jobs(session, [job], form, change)
    held = views.held_of(changed[0])
    if held is not None and held[0] != shards:
        later = "others may have the rest" if held[0] > shards else f"massctl why {changed[0].id}"
        hint(f"it asks for {shards} shards and has {held[0]}: {later}")
    return 0
