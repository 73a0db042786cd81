"""massctl policy: which policies there are, what they do and what they must be told."""

import difflib
import sys
import textwrap
from typing import Any

import click
from click.shell_completion import CompletionItem

from aimass.cli_base import (
    LISTING_FORMATS,
    Command,
    Group,
    Session,
    common_options,
    output_option,
)
from aimass.errors import NotFound
from aimass.output import Column, paint, print_listing, print_value, wants_colour

WIDTH = 88  # of paragraphs
Described = Any  # policies.described.Described, which is loaded when it is needed


@click.group(
    cls=Group,
    examples="""
    massctl policy ls
    massctl policy ls -o wide
    massctl policy describe las
    """,
)
@common_options
def policy() -> None:
    """Say which policies there are, for massd --order and for massctl sim."""


@policy.command(
    "ls",
    cls=Command,
    examples="""
    massctl policy ls
    massctl policy ls -o wide
    massctl policy ls -o json | jq '.items[] | select(.elastic) | .name'
    """,
)
@output_option(*LISTING_FORMATS)
@common_options
@click.pass_obj
def ls(session: Session, form: str) -> None:
    """List all policies: what they do, what they must be told of jobs, and what they can."""
    from aimass.policies.described import POLICIES

    print_listing(
        list(POLICIES.values()),
        form,
        kind="PolicyList",
        columns=_COLUMNS,
        view=_view,
        name=lambda one: one.name,
        colour=session.colour,
    )


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete with names of policies, each with its line."""
    from aimass.policies.described import POLICIES

    return [
        CompletionItem(one.name, help=one.line)
        for one in POLICIES.values()
        if one.name.startswith(incomplete)
    ]


@policy.command(
    cls=Command,
    examples="""
    massctl policy describe fair
    massctl policy describe gavel-max-min-perf
    massctl policy describe sia -o json
    """,
)
@click.argument("name", metavar="NAME", shell_complete=_names)
@output_option("table", "json", "jsonl", "yaml")
@common_options
@click.pass_obj
def describe(session: Session, name: str, form: str) -> None:
    """Tell what a policy does, where it comes from, what it needs, and its options."""
    from aimass.policies.described import POLICIES

    if name not in POLICIES:
        close = difflib.get_close_matches(name, POLICIES, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise NotFound(f"no policy {name[:80]!r}{meant}", fix="massctl policy ls")
    if form != "table":
        view = {"apiVersion": "aimass/v1", "kind": "Policy", **_view(POLICIES[name])}
        print_value(view, form)
        return
    _tell(POLICIES[name], wants_colour(session.colour, sys.stdout))


def _is_live(name: str) -> bool:
    from aimass.policies.registry import ALLOTTERS, ORDERS

    return name in ORDERS or name in ALLOTTERS


def _view(one: Described) -> dict[str, Any]:
    from aimass.policies.described import example

    return {
        "name": one.name,
        "line": one.line,
        "does": one.does,
        "source": one.source,
        "needs": list(one.needs),
        "without": one.without,
        "preemptive": one.is_preempting,
        "elastic": one.is_elastic,
        "typeAware": one.is_typed,
        "daemon": _is_live(one.name),
        "roundSeconds": one.rounds_s or None,
        "options": [
            {"name": option.name, "default": option.default, "does": option.does}
            for option in one.options
        ],
        "example": example(one),
    }


def _tell(one: Described, is_coloured: bool) -> None:
    """Print it as a page to read."""
    from aimass.policies.described import example

    def paragraph(title: str, text: str) -> None:
        head = paint(f"{title:9}", "bold") if is_coloured else f"{title:9}"
        body = textwrap.fill(text, WIDTH - 10, break_on_hyphens=False).replace("\n", f"\n{'':10}")
        print(f"{head} {body}")

    print(f"{paint(one.name, 'bold') if is_coloured else one.name}: {one.line}\n")
    paragraph("does", one.does)
    paragraph("source", f"{one.source}.")
    paragraph("needs", f"{', '.join(one.needs) or 'to be told nothing'}.")
    if one.without:
        paragraph("without", one.without)
    paragraph("can", f"{', '.join(_abilities(one)) or 'no more than its order'}.")
    where = "massd --order, massctl sim" if _is_live(one.name) else "massctl sim"
    rounds = f", also in rounds (--round {one.rounds_s})" if one.rounds_s else ""
    paragraph("where", f"{where}{rounds}.")
    for index, option in enumerate(one.options):
        default = f"{option.name}={option.default}"
        paragraph("" if index else "options", f"{default}: {option.does}.")
    print(f"\n{example(one)}")


def _abilities(one: Described) -> list[str]:
    said = (
        (one.is_preempting, "stops jobs for its order's sake"),
        (one.is_elastic, "chooses sizes of elastic jobs"),
        (one.is_typed, "weighs GPU models"),
    )
    return [words for is_so, words in said if is_so]


def _yes(is_so: bool) -> str:
    return "yes" if is_so else ""


_COLUMNS: list[Column[Described]] = [
    Column("NAME", lambda one: one.name),
    Column("WHAT", lambda one: one.line),
    Column("NEEDS", lambda one: ", ".join(one.needs)),
    Column("PREEMPTS", lambda one: _yes(one.is_preempting)),
    Column("ELASTIC", lambda one: _yes(one.is_elastic)),
    Column("TYPES", lambda one: _yes(one.is_typed)),
    Column("OPTIONS", lambda one: ", ".join(f"{o.name}={o.default}" for o in one.options)),
    Column("DAEMON", lambda one: _yes(_is_live(one.name)), is_wide=True),
    Column("SOURCE", lambda one: one.source, is_wide=True),
]
