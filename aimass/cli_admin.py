"""massctl cordon, uncordon, drain, reserve: about nodes, for operators."""

import contextlib
from typing import TYPE_CHECKING, Any

import click

from aimass.cli_base import (
    LISTING_FORMATS,
    SPAN,
    TIME,
    Command,
    Group,
    Session,
    common_options,
    node_argument,
    output_option,
    window_argument,
)
from aimass.output import hint, one_document, print_listing, print_removed, print_value

if TYPE_CHECKING:
    from aimass.client import Client
    from aimass.v1 import scheduler_pb2

FORMATS = ("table", "json", "jsonl", "yaml", "name")


@click.command(
    cls=Command,
    examples="""
    massctl cordon n1
    massctl cordon n1 n2 --reason 'fan replacement'
    massctl cordon n1 -o json
    """,
)
@node_argument(nargs=-1, required=True)
@click.option("--reason", default="", help="Shown to whoever asks.")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def cordon(session: Session, nodes: tuple[str, ...], reason: str, form: str) -> None:
    """Let nothing new onto nodes. What runs there goes on."""
    with session.client() as client:
        _print_nodes(client.admin.cordon(nodes, reason), form)


@click.command(
    cls=Command,
    examples="""
    massctl uncordon n1
    massctl uncordon n1 n2
    massctl uncordon n1 -o name
    """,
)
@node_argument(nargs=-1, required=True)
@output_option(*FORMATS)
@common_options
@click.pass_obj
def uncordon(session: Session, nodes: tuple[str, ...], form: str) -> None:
    """Let jobs onto nodes again; a drain is called off."""
    with session.client() as client:
        _print_nodes(client.admin.uncordon(nodes), form)


@click.command(
    cls=Command,
    examples="""
    massctl drain n1
    massctl drain n1 n2 --deadline 30m --reason 'kernel update'
    massctl drain n1 --wait && ssh n1 reboot
    """,
)
@node_argument(nargs=-1, required=True)
@click.option(
    "--deadline", type=SPAN, default=0, metavar="TIME", help="Jobs may end by themselves so long."
)
@click.option("--reason", default="", help="Shown to whoever asks.")
@click.option("--wait", is_flag=True, help="Return when nothing runs there.")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def drain(
    session: Session, nodes: tuple[str, ...], deadline: int, reason: str, wait: bool, form: str
) -> None:
    """Let nothing new onto nodes and empty them: at once, or at the deadline.

    The jobs are told to checkpoint, stopped, and queue again. `massctl uncordon` ends it.
    """
    from aimass.tables import now_ms

    with session.client() as client:
        deadline_ms = now_ms() + deadline if deadline else 0
        reply = client.admin.drain(nodes, deadline_ms, reason)
        if wait:
            reply = _wait_until_empty(client, reply, set(nodes))
        _print_nodes(reply, form)


def _wait_until_empty(
    client: "Client", reply: "scheduler_pb2.NodesReply", names: set[str]
) -> "scheduler_pb2.NodesReply":
    """Read the nodes again after events until nothing is held on them."""

    def is_empty() -> bool:
        return not any(node.shards for node in reply.nodes)

    if is_empty():
        return reply
    with contextlib.closing(client.watch(reply.revision)) as events:
        for event in events:
            if event.revision > reply.revision:
                reply = client.nodes()
                for node in [node for node in reply.nodes if node.id not in names]:
                    reply.nodes.remove(node)
                if is_empty():
                    break
    return reply


def _print_nodes(reply: "scheduler_pb2.NodesReply", form: str) -> None:
    from aimass import views

    with one_document(form, "NodeList", len(reply.nodes)) as show:
        for node in reply.nodes:
            if form == "name":
                print(node.id)
            elif form == "table":
                print(f"{node.id} {views.node_state_of(node)}")
            else:
                show(views.node_view(node))


@click.group(
    cls=Group,
    examples="""
    massctl reserve put demo --nodes n1,n2 --start +1h --length 2h --users ada
    massctl reserve ls
    massctl reserve rm demo
    """,
)
@common_options
def reserve() -> None:
    """Reserve nodes for some users or queues, or for maintenance, for a time."""


def _names(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    return [name.strip() for name in (value or "").split(",") if name.strip()]


@reserve.command(
    cls=Command,
    examples="""
    massctl reserve put demo --nodes n1,n2 --start 2026-12-01T09:00Z --length 2h --users ada,bob
    massctl reserve put sundays --nodes n1 --start +1d --length 4h --every 7d --maintenance
    massctl reserve put course --nodes n3 --start now --length 8h --queues teaching
    """,
)
@window_argument()
@click.option("--nodes", callback=_names, required=True, metavar="NODE,…", help="Which nodes.")
@click.option(
    "--start", type=TIME, required=True, metavar="WHEN", help="now, +2h, 2026-12-01T09:00Z."
)
@click.option("--length", type=SPAN, required=True, metavar="TIME", help="How long: 2h, 1d.")
@click.option("--every", type=SPAN, default=0, metavar="TIME", help="Again and again: 7d.")
@click.option("--until", type=TIME, default=0, metavar="WHEN", help="No more from then on.")
@click.option("--users", callback=_names, metavar="USER,…", help="Only they may use them.")
@click.option("--queues", callback=_names, metavar="QUEUE,…", help="Only their jobs may.")
@click.option("--maintenance", is_flag=True, help="Nobody may.")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def put(session: Session, /, name: str, form: str, **given: Any) -> None:
    """Make or replace a reservation. When it begins, jobs of others there are stopped.

    A job that could not be over by then does not start there.
    """
    from aimass.v1 import scheduler_pb2
    from aimass.views_admin import window_view

    plain = {f"{field}_ms": given[field] for field in ("start", "length", "every", "until")}
    people = {field: given[field] for field in ("nodes", "users", "queues", "maintenance")}
    with session.client() as client:
        window = client.admin.put_window(scheduler_pb2.Window(name=name, **plain, **people))
    for warning in window.warnings:
        hint(f"warning: {warning}")
    if form == "name":
        print(name)
    elif form == "table":
        print(f"reservation {name} of {len(window.nodes)} node(s)")
    else:
        print_value(window_view(window), form)


@reserve.command(
    cls=Command,
    examples="""
    massctl reserve ls
    massctl reserve ls -o wide
    massctl reserve ls -o json
    """,
)
@output_option(*LISTING_FORMATS)
@common_options
@click.pass_obj
def ls(session: Session, form: str) -> None:
    """List reservations: when they begin, for whom, and of which nodes."""
    from aimass import views_admin

    with session.client() as client:
        reply = client.admin.windows()
    print_listing(
        reply.windows,
        form,
        kind="ReservationList",
        columns=views_admin.WINDOWS,
        view=views_admin.window_view,
        name=lambda window: window.name,
        colour=session.colour,
        revision=reply.revision,
    )


@reserve.command(
    cls=Command,
    examples="""
    massctl reserve rm demo
    massctl reserve rm demo sundays
    massctl reserve rm demo -o json
    """,
)
@window_argument("names", nargs=-1, required=True, metavar="NAME…")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def rm(session: Session, names: tuple[str, ...], form: str) -> None:
    """Remove reservations; the nodes are everybody's again."""
    with session.client() as client:
        print_removed("reservation", names, form, client.admin.delete_window)
