"""massctl why, plan, history: why a job waits, what would happen to one, what happened to one."""

import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aimass import amounts, units
from aimass.cli_base import (
    Command,
    JobCommand,
    Parsed,
    Session,
    common_options,
    job_argument,
    output_option,
)
from aimass.cli_spec import job_options, spec_from
from aimass.errors import InvalidRequest, NotFound
from aimass.output import as_json, print_value

if TYPE_CHECKING:
    from aimass.v1 import job_pb2, scheduler_pb2

FORMATS = ("table", "wide", "json", "jsonl", "yaml", "name")
EXIT_CODES = {"STARTS": 0, "TAKES": 0, "WAITS": 10, "NEVER": 7}
NODE_ALLOWED = "+NxGxMODEL for nodes that come, as +2x8xH100; -NODE for one that goes"
_MORE = re.compile(r"\+([1-9]\d{0,4})x(\d{1,2})x([A-Za-z0-9][A-Za-z0-9._-]{0,252})\Z")


def _past(value: object) -> int:
    """Turn "2h", "2h ago", or a date that has passed, into epoch ms."""
    now_ms, text = time.time_ns() // 1_000_000, str(value).strip()
    with contextlib.suppress(ValueError):
        return now_ms - units.span_ms(text.removesuffix("ago").strip())
    try:
        at_ms = amounts.time_ms(text, now_ms)
    except ValueError:
        raise ValueError("how long ago, as 2h, or a date such as 2026-12-01T09:00Z") from None
    if at_ms > now_ms:
        raise ValueError("in the past")
    return at_ms


def _node_change(value: object) -> tuple[int, int, str]:
    """Turn "+2x8xH100" into (2, 8, "H100") and "-n3" into (0, 0, "n3")."""
    text = str(value)
    more = _MORE.match(text)
    if more:
        return int(more[1]), int(more[2]), more[3]
    if text.startswith("-") and len(text) > 1:
        return 0, 0, text[1:]
    raise ValueError(NODE_ALLOWED)


@click.command(
    cls=Command,
    examples="""
    massctl why j12
    massctl why @last --history
    massctl why j12 --at 2h -o json
    """,
)
@job_argument()
@click.option("--at", "at_ms", type=Parsed("when", _past), help="As of then: 2h ago, or a date.")
@click.option("--history", is_flag=True, help="Also how the main reason changed.")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def why(session: Session, job: str, at_ms: int | None, history: bool, form: str) -> None:
    """Explain why a job waits: every reason, who is in the way, when it starts, what would help.

    Each change that is offered was tried: with it the job starts now, and the command makes it.
    """
    from aimass import views_why, why_screen

    with session.client() as client:
        explanation = client.why(job, at_ms=at_ms or 0, history=history)
        name = ""
        if form in ("table", "wide"):
            with contextlib.suppress(NotFound):  # of the past, and forgotten since
                name = client.get(explanation.job_id).spec.name
    if form == "name":
        print(explanation.code)
    elif form in ("table", "wide"):
        print(why_screen.why_page(explanation, name, session.colour), end="")
    else:
        print_value(views_why.why_view(explanation), form)


@click.command(
    cls=JobCommand,
    examples="""
    massctl plan train.yaml
    massctl plan --gpus 8 --shards 4 --time 12h -- python train.py
    massctl plan train.yaml --node +2x8xH100 --node -n3
    massctl plan train.yaml --cluster cluster.yaml -o json
    """,
)
@job_options
@click.option(
    "--node",
    "nodes",
    type=Parsed("node", _node_change),
    multiple=True,
    metavar="+NxGxMODEL|-NODE",
    help="As if these nodes were there, or that one gone; repeatable.",
)
@click.option("--cluster", metavar="FILE", help="A described cluster instead of the real one.")
@output_option(*FORMATS)
@common_options
@click.pass_obj
def plan(
    session: Session,
    /,
    nodes: tuple[tuple[int, int, str], ...],
    cluster: str | None,
    form: str,
    **flags: Any,
) -> int:
    """Say what would happen to a job, without submitting it: where, on whose place, when, the cost.

    Exit code: 0 it would start, 10 it would wait, 7 it never fits.

    The FILE of --cluster is YAML, one line for each kind of nodes (gpuMemory for each GPU):

    \b
      levels: [row, rack]
      nodes:
        - {count: 4, gpus: 8xH100, gpuMemory: 80GiB, cpus: 64, memory: 512GiB, labels: {rack: r1}}
        - {name: cpu, cpus: 32, memory: 128GiB, taints: [kind=cpu]}

    Its nodes are empty, and the queue that the job names bounds nothing.
    """
    return show_plan(session, spec_from(flags), form, nodes, cluster)


def show_plan(
    session: Session,
    spec: "job_pb2.JobSpec",
    form: str,
    nodes: tuple[tuple[int, int, str], ...] = (),
    cluster: str | None = None,
) -> int:
    """Print what would happen to the job and give the exit code that stands for it."""
    from aimass import views_why, why_screen
    from aimass.v1 import scheduler_pb2

    more = [
        scheduler_pb2.MoreNodes(count=count, gpus=gpus, model=model)
        for count, gpus, model in nodes
        if count
    ]
    gone = [name for count, _, name in nodes if not count]
    if cluster is not None:
        reply = _plan_offline(spec, cluster, more, gone)
    else:
        with session.client() as client:
            reply = client.plan(spec, more=more, without=gone)
    if form == "name":
        print(reply.verdict)
    elif form in ("table", "wide"):
        print(why_screen.plan_page(reply, spec.name, session.colour), end="")
    else:
        print_value(views_why.plan_view(reply, spec), form)
    return EXIT_CODES[reply.verdict]


def _plan_offline(
    spec: "job_pb2.JobSpec",
    file: str,
    more: "list[scheduler_pb2.MoreNodes]",
    gone: list[str],
) -> "scheduler_pb2.PlanReply":
    """Ask the scheduler's own code, in this process, about nodes that a file describes."""
    try:
        from aimass.scheduler import described
    except ModuleNotFoundError as error:
        raise InvalidRequest(
            "the scheduler's code is not installed here",
            why=f"no module {error.name}",
            fix="pip install 'aimass[scheduler]', or leave out --cluster",
        ) from None
    from aimass.clusterfile import load

    try:
        return described.plan_on(spec, load(Path(file)), more, gone)
    except described.Refused as refused:
        detail = refused.detail
        raise InvalidRequest(detail.what, fix=detail.fix, id=detail.id) from None


@click.command(
    cls=Command,
    examples="""
    massctl history j12
    massctl history @last -o wide
    massctl history j12 -o jsonl
    """,
)
@job_argument()
@output_option(*FORMATS)
@common_options
@click.pass_obj
def history(session: Session, job: str, form: str) -> None:
    """Tell everything that happened to a job, from the journal: also when it ended long ago.

    wide: also which policy decided, and how it weighed the choice.
    """
    from aimass import views_why, why_screen

    with session.client() as client:
        found = client.history(job)
    if form == "name":
        print("".join(f"{entry.what}\n" for entry in found.entries), end="")
    elif form in ("table", "wide"):
        print(why_screen.history_page(found, is_wide=form == "wide"), end="")
    elif form == "jsonl":
        print("".join(f"{as_json(views_why.entry_view(e))}\n" for e in found.entries), end="")
    else:
        print_value(views_why.history_view(found), form)
