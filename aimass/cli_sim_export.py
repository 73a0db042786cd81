"""massctl sim export: the journal of a live cluster as a trace for the other commands."""

from pathlib import Path

import click

from aimass.cli_base import Command, common_options
from aimass.cli_journal import existing, journal_errors, load_tools
from aimass.cli_sim_base import counted, installed, refusals
from aimass.cli_sim_files import keep_apart, known_form
from aimass.cli_sim_options import FIX, journal_option, out_option
from aimass.errors import MassError
from aimass.output import hint


@click.command(
    cls=Command,
    examples="""
    massctl sim export --journal ~/.local/state/aimass/massd --out jobs.jsonl.gz
    massctl sim run --trace jobs.jsonl.gz --cluster 64x8xH100 --policy fair --compare las
    """,
)
@journal_option
@out_option
@common_options
def export(journal_folder: Path, out_file: Path | None) -> None:
    """Make a trace of the jobs in a journal: real submissions, sizes, and measured run times.

    Jobs that never ran, or have not ended, are left out and counted.
    """
    with installed():
        from aimass.simulator import trace_targets
        from aimass.simulator.export import export as exported
    known_form(out_file)
    keep_apart([out_file], journal_folder.iterdir() if journal_folder.is_dir() else ())
    tools = load_tools()
    with journal_errors(tools, journal_folder):
        found = exported(tools.events(existing(journal_folder)))
    for reason, count in sorted(found.left_out.items()):
        hint(f"left out: {counted(count, 'job')} that {reason}")
    if not found.jobs:
        fix = "wait until some job with GPUs has ended"
        raise MassError("the journal holds no job that makes a trace", fix=fix)
    with refusals(FIX):
        made = trace_targets.write_as_named(found.jobs, out_file)
    hint(counted(made, "job") + (f" in {out_file}" if out_file is not None else ""))
    if found.cluster:
        hint(f"the nodes at the end: --cluster {found.cluster}")
