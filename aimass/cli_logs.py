"""massctl logs: the output of a job's shards, byte for byte."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from aimass.cli_base import Command, Session, common_options, job_argument, output_option
from aimass.log_lines import LineMux, json_line, prefixed
from aimass.output import clean, hint

if TYPE_CHECKING:
    from aimass.client import Client


@click.command(
    cls=Command,
    examples="""
    massctl logs -f j12
    massctl logs j12 --rank 3 --tail 100
    massctl logs j12 --attempt 1 > first-try.log
    massctl logs j12 -o json | jq -r 'select(.rank == 0).line'
    """,
)
@job_argument()
@click.option("-f", "--follow", is_flag=True, help="Until the job is over, across reconnects.")
@click.option(
    "--rank", "ranks", type=click.IntRange(0), multiple=True, help="Only this rank; repeatable."
)
@click.option("--tail", type=click.IntRange(1), help="Only the last N lines of each.")
@click.option("--attempt", type=click.IntRange(1), help="Of this attempt. Default: the newest.")
@output_option("text", "json", "jsonl")
@common_options
@click.pass_obj
def logs(
    session: Session,
    job: str,
    follow: bool,
    ranks: tuple[int, ...],
    tail: int | None,
    attempt: int | None,
    form: str,
) -> None:
    """Print a job's output. Of several ranks each line starts with its rank, as in `[0] `.

    json and jsonl: one object a line, {attempt, rank, line}. When a line was printed is not known.
    """
    with session.client() as client:
        print_logs(
            client,
            job,
            follow=follow,
            ranks=ranks,
            tail_lines=tail or 0,
            attempt=attempt or 0,
            is_json=form != "text",
        )


def print_logs(
    client: "Client",
    job: str,
    *,
    follow: bool,
    ranks: Sequence[int] = (),
    tail_lines: int = 0,
    attempt: int = 0,
    is_json: bool = False,
) -> None:
    """Copy output to stdout as it comes: raw for one rank, whole lines with prefix for several.

    is_json: each line an object of its own, for one rank as well.
    """
    from aimass.views import shards_of

    reading = client.get(job)
    ranks = tuple(dict.fromkeys(ranks))
    is_prefixed = (len(ranks) or shards_of(reading)) > 1
    out = sys.stdout.buffer
    attempts: dict[int, int] = {}  # of each rank: whose output is being read
    mux = LineMux(
        (lambda rank, line: json_line(attempts[rank], rank, line)) if is_json else prefixed
    )
    chunks = client.logs(
        reading.id, ranks=ranks, attempt=attempt, follow=follow, tail_lines=tail_lines
    )
    try:
        for chunk in chunks:
            _print_remarks(chunk.rank, chunk.skipped_bytes, chunk.note, is_prefixed)
            attempts[chunk.rank] = chunk.attempt
            if is_prefixed or is_json:
                out.write(mux.feed(chunk.rank, chunk.data))
                out.write(mux.end(chunk.rank) if chunk.eof else b"")
            else:
                out.write(chunk.data)
            out.flush()
    finally:
        chunks.close()
        out.write(mux.end_all())
        out.flush()


def _print_remarks(rank: int, skipped_bytes: int, note: str, is_prefixed: bool) -> None:
    prefix = f"[{rank}] " if is_prefixed else ""
    if skipped_bytes:
        hint(f"{prefix}{skipped_bytes} bytes are gone: older output was rotated away")
    if note:
        hint(f"{prefix}{clean(note)}")
