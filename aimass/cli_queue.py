"""massctl queue and share: who may use how much, and who uses it."""

from typing import TYPE_CHECKING, Any

import click

from aimass.cli_base import (
    AMOUNTS,
    CELLS,
    LISTING_FORMATS,
    PRIORITIES,
    SPAN,
    TEXT,
    Command,
    Function,
    Group,
    Session,
    common_options,
    live,
    output_option,
    queue_argument,
)
from aimass.output import hint, print_listing, print_removed, print_value

if TYPE_CHECKING:
    from aimass.v1 import scheduler_pb2

COUNT = click.IntRange(0, 1_000_000)


@click.group(
    cls=Group,
    examples="""
    massctl queue put vision --quota gpu=16 --weight 2
    massctl queue ls
    massctl queue show vision
    """,
)
@common_options
def queue() -> None:
    """Make, change, list and remove queues. A queue's jobs count for every queue above it."""


def _queue_options(function: Function) -> Function:
    amounts: dict[str, Any] = {"type": AMOUNTS, "metavar": "AMOUNTS"}
    options: list[Any] = [
        click.option(
            "--parent",
            type=TEXT,
            shell_complete=live("queue_names"),
            help="The queue above it: root.",
        ),
        click.option("--weight", type=click.IntRange(1, 1_000_000), help="Share of the rest: 1."),
        click.option("--quota", **amounts, help="Guaranteed: gpu=8,gpu:H100=4,cpu=64,memory=1TiB."),
        click.option(
            "--reserve",
            type=CELLS,
            metavar="CELLS",
            help="Of the quota, in one piece: 4x8xH100, or for gangs 2x4x8xH100@rack.",
        ),
        click.option("--limit", **amounts, help="Never more than this."),
        click.option("--borrow-limit", **amounts, help="Beyond the quota at most this."),
        click.option("--lend-limit", **amounts, help="Of an idle quota others get at most this."),
        click.option(
            "--reclaim/--no-reclaim", default=None, help="Take the quota back from borrowers: yes."
        ),
        click.option("--max-jobs", type=COUNT, help="Active at once. 0: any number."),
        click.option("--max-queued", type=COUNT, help="Waiting at once. 0: any number."),
        click.option("--job-limit", **amounts, help="Of one job."),
        click.option("--max-walltime", type=SPAN, metavar="TIME", help="Of one job: 12h, 7d."),
        click.option("--priority", type=PRIORITIES, metavar="MIN:MAX", help="Of its jobs: 0:100."),
        click.option("--min-runtime", type=SPAN, metavar="TIME", help="Not preempted earlier."),
        click.option("--half-life", type=SPAN, metavar="TIME", help="Of past use in fair share."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@queue.command(
    cls=Command,
    examples="""
    massctl queue put vision --quota gpu=16,cpu=256 --weight 2
    massctl queue put vision-dev --parent vision --limit gpu=4 --max-walltime 8h
    massctl queue put llm --quota gpu:H100=64 --reserve 2x4x8xH100@rack
    massctl queue put vision --quota none
    """,
)
@queue_argument()
@_queue_options
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def put(session: Session, /, name: str, form: str, **given: Any) -> None:
    """Make a queue, or change one: what is not given stays as it is.

    AMOUNTS and CELLS replace all that was said before; `none` takes every bound away. CELLS is
    COUNTxGPUSxMODEL: so many times GPUs of one node; COUNTxSHARDSxGPUSxMODEL@LEVEL for gangs.
    """
    spec = _spec(name, given)
    with session.client() as client:
        reply = client.admin.put_queue(spec)
    for warning in reply.warnings:
        hint(f"warning: {warning}")
    if form == "name":
        print(name)
    elif form == "table":
        print(f"queue {name} {'changed' if reply.existed else 'made'}")
    else:
        from aimass.views_admin import queue_view

        print_value({**queue_view(reply.queue), "warnings": list(reply.warnings)}, form)


def _spec(name: str, given: dict[str, Any]) -> "scheduler_pb2.QueueSpec":
    """Put into the message what was given, and nothing else."""
    from aimass.v1 import scheduler_pb2

    spec = scheduler_pb2.QueueSpec(name=name)
    for option in ("quota", "limit", "borrow_limit", "lend_limit", "job_limit"):
        if given[option] is not None:
            getattr(spec, option).CopyFrom(scheduler_pb2.Amounts(of=given[option]))
    if given["reserve"] is not None:
        cells = [
            scheduler_pb2.Cell(count=count, shards=shards, gpus=gpus, model=model, level=level)
            for count, shards, gpus, model, level in given["reserve"]
        ]
        spec.reserve.CopyFrom(scheduler_pb2.Reserve(cells=cells))
    plain = {
        option: given[option]
        for option in ("parent", "weight", "reclaim", "max_jobs", "max_queued")
    }
    plain |= {f"{span}_ms": given[span] for span in ("max_walltime", "min_runtime", "half_life")}
    if given["priority"] is not None:
        plain["priority_min"], plain["priority_max"] = given["priority"]
    for field, value in plain.items():
        if value is not None:
            setattr(spec, field, value)
    return spec


@queue.command(
    cls=Command,
    examples="""
    massctl queue ls
    massctl queue ls -o wide
    massctl queue ls -o json | jq '.items[].name'
    """,
)
@output_option(*LISTING_FORMATS)
@common_options
@click.pass_obj
def ls(session: Session, form: str) -> None:
    """List all queues with what they may use and what they use, a parent before its children."""
    from aimass import views_admin

    with session.client() as client:
        reply = client.admin.queues()
    print_listing(
        reply.queues,
        form,
        kind="QueueList",
        columns=views_admin.QUEUES,
        view=views_admin.queue_view,
        name=lambda queue: queue.spec.name,
        colour=session.colour,
        revision=reply.revision,
    )


@queue.command(
    cls=Command,
    examples="""
    massctl queue show vision
    massctl queue show default -o yaml
    massctl queue show vision -o json | jq .used
    """,
)
@queue_argument()
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def show(session: Session, name: str, form: str) -> None:
    """Show one queue: its rules and its accounts."""
    from aimass import views_admin

    with session.client() as client:
        found = client.admin.queues(name).queues[0]
    if form == "name":
        print(found.spec.name)
    elif form == "table":
        print(views_admin.queue_screen(found), end="")
    else:
        print_value(views_admin.queue_view(found), form)


@queue.command(
    cls=Command,
    examples="""
    massctl queue rm vision-dev
    massctl queue rm vision-dev vision
    massctl queue rm old -o json
    """,
)
@queue_argument("names", nargs=-1, required=True, metavar="NAME…")
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def rm(session: Session, names: tuple[str, ...], form: str) -> None:
    """Remove queues that have no jobs and no queues below them."""
    with session.client() as client:
        print_removed("queue", names, form, client.admin.delete_queue)


@click.command(
    cls=Command,
    examples="""
    massctl share
    massctl share -o wide
    massctl share -o json | jq '.items[] | {name, share, entitled}'
    """,
)
@output_option(*LISTING_FORMATS)
@common_options
@click.pass_obj
def share(session: Session, form: str) -> None:
    """Show what part of the cluster each queue has, had lately, and is entitled to.

    SHARE: owned now. PAST: average use, decayed. ENTITLED: what it could have now: guarantees
    first, then by weight, never more than it asks for. FAIR: its weight's part of everything.
    """
    from aimass import views_admin

    with session.client() as client:
        reply = client.admin.queues()
    print_listing(
        reply.queues,
        form,
        kind="ShareReport",
        columns=views_admin.SHARES,
        view=views_admin.share_view,
        name=lambda queue: queue.spec.name,
        colour=session.colour,
        revision=reply.revision,
    )
