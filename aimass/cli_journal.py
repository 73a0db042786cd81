"""massctl journal: check or print a journal where the scheduler's code is installed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from aimass.cli_base import Command, Group, common_options, output_option
from aimass.errors import Conflict, MassError, NotFound
from aimass.output import print_value


@click.group(
    cls=Group,
    examples="""
    massctl journal verify ~/.local/state/aimass/massd
    massctl journal dump massd/ --after 100 --limit 10
    massctl journal dump massd/ | jq -r .type | sort | uniq -c
    """,
)
@common_options
def journal() -> None:
    """Check or print a scheduler's journal. Works on the files, without a running scheduler."""


def load_tools() -> Any:
    """Load what reads journals, or say what to install."""
    try:
        from aimass.scheduler import journal_tools
    except ModuleNotFoundError as error:
        raise MassError(
            "the scheduler's code is not installed here",
            why=f"no module {error.name}",
            fix="pip install 'aimass[scheduler]'",
        ) from None
    return journal_tools


@contextlib.contextmanager
def journal_errors(tools: Any, path: Path) -> Iterator[None]:
    """Turn what the tools say of a journal into an error with an exit code: 3 for none there."""
    try:
        yield
    except tools.JournalError as error:
        if str(error).startswith("there is no journal"):
            fix = "name massd's data directory; of massctl up it is massd/ in the one of --data"
            raise NotFound(str(error), fix=fix, id=str(path)) from None
        fix = "keep a copy of the directory; massctl journal verify says how far it is whole"
        raise MassError(str(error), fix=fix, id=str(path)) from None


def existing(path: Path) -> Path:
    """Give the path, which must be there."""
    if not path.exists():
        raise NotFound(f"nothing at {path}", fix="name massd's data directory", id=str(path))
    return path


@journal.command(
    cls=Command,
    examples="""
    massctl journal verify ~/.local/state/aimass/massd
    massctl journal verify massd/ -o json
    massctl journal verify massd/ -o name
    """,
)
@click.argument("path", type=click.Path(path_type=Path))
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
def verify(path: Path, form: str) -> None:
    """Replay a journal and compare every recorded state hash. Exit code 4 if one differs."""
    tools = load_tools()
    with journal_errors(tools, path):
        report = tools.verify(existing(path))
    if form in ("json", "jsonl", "yaml"):
        view = {
            "apiVersion": "aimass/v1",
            "kind": "JournalReport",
            "ok": report.ok,
            "revisions": report.revisions,
            "batches": report.batches,
            "hashesChecked": report.hashes_checked,
            "hashesSkipped": report.hashes_skipped,
            "stateHash": report.state_hash,
            "problem": report.problem,
        }
        print_value(view, form)
    elif form == "name":
        print(report.state_hash)
    elif report.ok:
        counts = f"{report.revisions} events in {report.batches} batches"
        skipped = f", {n} of another version were left out" if (n := report.hashes_skipped) else ""
        agreed = f"{report.hashes_checked} hashes agree{skipped}"
        print(f"ok: {counts}, {agreed}; state {report.state_hash}")
    if not report.ok:
        raise Conflict(
            f"the journal at {path} does not replay to what it recorded",
            why=report.problem,
            fix="keep a copy of the directory and report it; a backup may be whole",
            id=str(path),
        )


@journal.command(
    cls=Command,
    examples="""
    massctl journal dump ~/.local/state/aimass/massd
    massctl journal dump massd/ --after 100 --limit 10
    massctl journal dump massd/ | jq -r .type | sort | uniq -c
    """,
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--after", type=click.IntRange(0), default=0, help="Only events after this revision.")
@click.option("--limit", type=click.IntRange(1), help="At most N events.")
@common_options
def dump(path: Path, after: int, limit: int | None) -> None:
    """Print a journal's events, oldest first, one JSON object a line."""
    tools = load_tools()
    with journal_errors(tools, path):
        for line in tools.dump(existing(path), after=after, limit=limit):
            print(line)
