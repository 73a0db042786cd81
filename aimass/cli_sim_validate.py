"""massctl sim validate: a journal replayed in virtual time, beside what really happened."""

from pathlib import Path

import click

from aimass.cli_base import Command, common_options, output_option
from aimass.cli_journal import existing, journal_errors, load_tools
from aimass.cli_sim_compared import broken_off, load, policy_of, show, tell_unknown
from aimass.cli_sim_options import journal_option
from aimass.errors import MassError


@click.command(
    cls=Command,
    examples="""
    massctl sim validate --journal ~/.local/state/aimass/massd
    massctl sim validate --journal massd/ -o json
    """,
)
@journal_option
@click.option(
    "--policy",
    default=None,
    metavar="NAME[:OPTION=VALUE,…]",
    help="The policy that the daemon had, where the journal's own cannot be read from it.",
)
@click.option(
    "--own-delays",
    is_flag=True,
    help="Each start and stop as long as that one took: how much of a deviation is delays?",
)
@output_option("table", "json", "yaml")
@common_options
def validate(journal_folder: Path, policy: str | None, own_delays: bool, form: str) -> None:
    """Simulate what a journal recorded, and print by how much the simulation is off.

    The jobs come as they came, on the journal's own nodes, and do the work that they did; decisions
    are made anew. Starts and stops take the medians of the journal.
    """
    tools, journals = load(), load_tools()
    with journal_errors(journals, journal_folder):
        recorded = tools.recorded.read(journals.events(existing(journal_folder)))
    label, made = policy_of(tools, recorded, policy)
    with broken_off(tools):
        found = tools.validate.compare(recorded, made, has_own_delays=own_delays)
    if not found.compared:
        raise MassError("no job of the journal ran and ended", fix="wait until some have")
    tell_unknown(recorded)
    show(found, "Validation", label, "", form)
