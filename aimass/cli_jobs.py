"""massctl show, cancel, wait: about jobs that exist."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from aimass.cli_base import DURATION, Command, Session, common_options, job_argument, output_option
from aimass.errors import MassError
from aimass.output import clean, hint, one_document, print_value

if TYPE_CHECKING:
    from aimass.client import Client
    from aimass.v1 import job_pb2


@click.command(
    cls=Command,
    examples="""
    massctl show j12
    massctl show @last -o wide
    massctl show j12 -o yaml
    """,
)
@job_argument()
@output_option("table", "wide", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def show(session: Session, job: str, form: str) -> None:
    """Show everything about one job. JOB: an id, a unique prefix of one, or @last.

    An array is shown in sum, with its tasks.
    """
    from aimass import views
    from aimass.cli_list import print_jobs

    with session.client() as client:
        reading = client.get(job, foresee=True)
        is_listed = views.is_array(reading) and form in ("table", "wide")
        tasks = client.list(array=reading.id).jobs if is_listed else []
    print_job(reading, session, form)
    if tasks:
        print()
        print_jobs(tasks, session, form)


def print_job(job: "job_pb2.Job", session: Session, form: str) -> None:
    """Print one job in any format; the table is a screen of its own."""
    from aimass import screens, views

    if form == "name":
        print(job.id)
    elif form in ("table", "wide"):
        print(screens.job_screen(job, session.colour, is_wide=form == "wide"), end="")
    else:
        print_value(views.job_view(job), form)


@click.command(
    cls=Command,
    examples="""
    massctl cancel j12
    massctl cancel j12 j13 --grace 2m
    massctl ls --mine -o name | xargs massctl cancel
    """,
)
@job_argument("jobs", nargs=-1, required=True, metavar="JOB…")
@click.option("--grace", type=DURATION, metavar="TIME", help="From SIGTERM to SIGKILL.")
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def cancel(session: Session, jobs: tuple[str, ...], grace: int | None, form: str) -> int:
    """Stop jobs: SIGTERM, the grace period, SIGKILL. Returns at once; `massctl wait` waits."""
    return act_on_jobs(session, jobs, form, lambda client, job: client.cancel(job, grace_ms=grace))


def act_on_jobs(
    session: Session,
    jobs: Sequence[str],
    form: str,
    act: "Callable[[Client, str], job_pb2.Job]",
) -> int:
    """Do one thing to each job and print the job as it is then; go on after one's refusal.

    Gives the exit code: 0, or that of the first refusal. Of a single job, or when no scheduler
    answers, the error is raised.
    """
    from aimass import views

    code = 0
    with session.client() as client, one_document(form, "JobList", len(jobs)) as show:
        for name in jobs:
            try:
                job = act(client, name)
            except MassError as error:
                if len(jobs) == 1 or error.exit_code == 6:
                    raise
                hint(str(error))
                code = code or error.exit_code
                continue
            if form == "name":
                print(job.id)
            elif form == "table":
                print(f"{job.id} {views.state_of(job)}")
            else:
                show(views.job_view(job))
    return code


@click.command(
    cls=Command,
    examples="""
    massctl wait j12
    massctl wait j12 j13 --timeout 10m
    massctl wait @last -o json
    """,
)
@job_argument("jobs", nargs=-1, required=True, metavar="JOB…")
@click.option("--timeout", type=DURATION, metavar="TIME", help="Give up after this: exit code 124.")
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def wait(session: Session, jobs: tuple[str, ...], timeout: int | None, form: str) -> int:
    """Wait until jobs are over. Exit code: the jobs' own, the first that is not 0."""
    deadline = None if timeout is None else time.monotonic() + timeout / 1000
    code = 0
    with session.client() as client:
        for name in jobs:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            job = client.wait(name, timeout_s=left_s)
            ended = report_end(job, session, form)
            code = code or ended
    return code


def report_end(job: "job_pb2.Job", session: Session, form: str) -> int:
    """Print how a job ended and give the exit code that stands for it."""
    from aimass import wire

    if form == "table":
        print(end_line(job), flush=True)
    else:
        print_job(job, session, form)
    return wire.exit_code_of(job)


def end_line(job: "job_pb2.Job") -> str:
    """Say in one line how a job ended, and why."""
    from aimass import views

    reason = f": {clean(job.reason)}" if job.reason else ""
    return f"{job.id} {views.state_of(job)}{reason}"
