"""massctl ls and nodes: listings, and the same live from one watch stream."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from aimass.cli_base import (
    LISTING_FORMATS,
    TEXT,
    Command,
    Session,
    common_options,
    live,
    output_option,
)
from aimass.errors import MassError
from aimass.output import as_json, hint, print_listing

if TYPE_CHECKING:
    from aimass.client import Client
    from aimass.v1 import job_pb2, scheduler_pb2

STATES = (
    *("HELD", "QUEUED", "RESERVED", "PLACED", "STARTING", "RUNNING", "STOPPING"),
    *("SUCCEEDED", "FAILED", "CANCELLED"),
)
LIVE_STATES = STATES[:7]


@click.command(
    cls=Command,
    examples="""
    massctl ls --all --mine
    massctl ls --state QUEUED,RUNNING -o wide
    massctl ls --watch -o jsonl
    """,
)
@click.option(
    "--state", "states", type=TEXT, metavar="STATE[,…]", help=f"Only these: {', '.join(STATES)}."
)
@click.option("--mine", is_flag=True, help="Only your own jobs.")
@click.option("-u", "--user", type=TEXT, help="Only this user's jobs.")
@click.option(
    "--queue",
    type=TEXT,
    shell_complete=live("queue_names"),
    help="Only this queue's jobs, and those of queues below it.",
)
@click.option(
    "--array",
    type=TEXT,
    metavar="JOB",
    shell_complete=live("job_ids"),
    help="Only the tasks of this array.",
)
@click.option("-a", "--all", "is_all", is_flag=True, help="Ended jobs too.")
@click.option("--limit", type=click.IntRange(1), default=1000, help="The newest N. Default: 1000.")
@click.option("-w", "--watch", is_flag=True, help="Go on showing changes; JSON lines when piped.")
@output_option(*LISTING_FORMATS)
@common_options
@click.pass_obj
def ls(
    session: Session,
    states: str | None,
    mine: bool,
    user: str | None,
    queue: str | None,
    array: str | None,
    is_all: bool,
    limit: int,
    watch: bool,
    form: str,
) -> None:
    """List jobs, oldest first: those that have not ended, or what --state and --all say."""
    wanted = _states(states) if states else STATES if is_all else LIVE_STATES
    from aimass.v1 import job_pb2

    is_narrow = len(wanted) < len(STATES)
    numbers = [job_pb2.JobState.Value(f"JOB_STATE_{state}") for state in wanted if is_narrow]
    with session.client() as client:
        whose = client.user if mine else user or ""
        within = {"array": array or "", "queue": queue or ""}
        listing = client.list(numbers, user=whose, limit=limit, **within)
        if watch:
            is_wanted = _filter(client, whose, **within)
            _watch_jobs(client, listing, session, form, is_wanted)
            return
    print_jobs(listing.jobs, session, form, revision=listing.revision, total=listing.total)
    if listing.total > len(listing.jobs):
        hint(f"the newest {len(listing.jobs)} of {listing.total} jobs; more: --limit N")


def _filter(client: "Client", user: str, queue: str, array: str) -> "Callable[[job_pb2.Job], bool]":
    """Make the test for jobs that the listing would show, whatever their state."""
    array_id = client.get(array).id if array else ""
    queues = {found.spec.name for found in client.admin.queues(queue).queues} if queue else set()
    return lambda job: (
        (not user or job.user == user)
        and (not queues or job.spec.queue in queues)
        and (not array_id or job.array_id == array_id)
    )


def _states(text: str) -> list[str]:
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in STATES:
            allowed = ", ".join(STATES)
            raise click.BadParameter(f"{name!r} is no job state: {allowed}", param_hint="--state")
    return names


def print_jobs(jobs: "Sequence[job_pb2.Job]", session: Session, form: str, **header: Any) -> None:
    """Print jobs as `massctl ls` does."""
    from aimass import tables, views

    print_listing(
        jobs,
        form,
        kind="JobList",
        columns=tables.JOBS,
        view=views.job_view,
        name=lambda job: job.id,
        colour=session.colour,
        **header,
    )


def _watch_jobs(
    client: "Client",
    listing: "scheduler_pb2.ListReply",
    session: Session,
    form: str,
    is_wanted: "Callable[[job_pb2.Job], bool]",
) -> None:
    """Show jobs as they change. One stream; a job is read again only after an event of its own."""
    from aimass import views

    jobs = {job.id: job for job in listing.jobs}
    is_screen = sys.stdout.isatty() and form in ("table", "wide")
    if is_screen:
        _redraw(lambda: print_jobs(list(jobs.values()), session, form))
    else:
        print_jobs(listing.jobs, session, "jsonl")
        sys.stdout.flush()
    read_at: dict[str, int] = {}
    with contextlib.closing(client.watch(listing.revision)) as events:
        for event in events:
            if not event.job_id or event.revision <= read_at.get(event.job_id, 0):
                continue
            job = client.get(event.job_id)
            read_at[job.id] = job.revision
            found = client.list(array=job.id).jobs if views.is_array(job) else [job]
            news = {job.id: job for job in found if is_wanted(job)}
            jobs.update(news)
            if not is_screen:
                for job in news.values():
                    print(as_json(views.job_view(job)), flush=True)
            elif news:
                _redraw(lambda: print_jobs(list(jobs.values()), session, form))


def _redraw(draw: Callable[[], None]) -> None:
    sys.stdout.write("\x1b[H\x1b[2J")
    draw()
    sys.stdout.flush()


@click.command(
    cls=Command,
    examples="""
    massctl nodes
    massctl nodes -o wide
    massctl nodes n1
    massctl nodes n1 -o json
    """,
)
@click.argument("names", nargs=-1, metavar="[NODE]…")
@click.option("-w", "--watch", is_flag=True, help="Go on showing changes; JSON lines when piped.")
@output_option(*LISTING_FORMATS)
@common_options
@click.pass_obj
def nodes(session: Session, names: tuple[str, ...], watch: bool, form: str) -> None:
    """List nodes with their devices: what they have, what is used, and by which jobs.

    Of a NODE that is named, the devices follow, and what joins each two of them.
    """
    with session.client() as client:
        reply = client.nodes()
        missing = sorted(set(names) - {node.id for node in reply.nodes})
        if missing:
            from aimass.errors import NotFound

            raise NotFound(f"no node {missing[0]!r}", fix="massctl nodes", id=missing[0])
        if watch:
            _watch_nodes(client, reply, session, form, names)
            return
    _print_nodes(reply, session, form, names)
    if not reply.nodes:
        hint("no node has joined; start one: massnode --scheduler HOST:PORT")


def _print_nodes(
    reply: "scheduler_pb2.NodesReply", session: Session, form: str, names: tuple[str, ...]
) -> None:
    from aimass import node_screen, tables, views

    found = [node for node in reply.nodes if not names or node.id in names]
    print_listing(
        found,
        form,
        kind="NodeList",
        columns=tables.NODES,
        view=views.node_view,
        name=lambda node: node.id,
        colour=session.colour,
        revision=reply.revision,
    )
    for node in found if names and form in ("table", "wide") else ():
        print(f"\n{node_screen.node_screen(node, session.colour)}", end="")


def _watch_nodes(
    client: "Client",
    reply: "scheduler_pb2.NodesReply",
    session: Session,
    form: str,
    names: tuple[str, ...],
) -> None:
    """Show the nodes again after events; one reading covers all events up to its revision."""
    is_screen = sys.stdout.isatty() and form in ("table", "wide")

    def draw() -> None:
        if is_screen:
            _redraw(lambda: _print_nodes(reply, session, form, names))
        else:
            _print_nodes(reply, session, "jsonl", names)
            sys.stdout.flush()

    draw()
    with contextlib.closing(client.watch(reply.revision)) as events:
        for event in events:
            if event.revision > reply.revision:
                reply = client.nodes()
                draw()
    raise MassError("the watch ended")
