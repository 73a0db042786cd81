"""massctl sim replay: a journal once more: to check it, ask another policy, or live otherwise."""

from pathlib import Path
from typing import Any

import click

from aimass import units
from aimass.cli_base import Command, common_options, output_option
from aimass.cli_journal import existing, journal_errors, load_tools
from aimass.cli_sim_base import Row, installed, refusals
from aimass.cli_sim_compared import FIX, ROUNDS_FIX, broken_off, load, policy_of, show, tell_unknown
from aimass.cli_sim_options import journal_option
from aimass.errors import Conflict, InvalidRequest, MassError
from aimass.output import Column, print_value, table

SHOWN = 20
WAYS = "--audit, --re-decide, or --policy NAME and --cluster SPEC for what would have become of it"


@click.command(
    cls=Command,
    examples="""
    massctl sim replay --journal ~/.local/state/aimass/massd --audit
    massctl sim replay --journal massd/ --re-decide --policy fifo-backfill
    massctl sim replay --journal massd/ --policy las
    massctl sim replay --journal massd/ --policy fair --cluster 16x8xH100 -o json
    """,
)
@journal_option
@click.option("--audit", is_flag=True, help="Fold all events; every recorded hash must agree.")
@click.option(
    "--re-decide",
    "redecide",
    is_flag=True,
    help="At each decision that started or stopped jobs, what would --policy have done?",
)
@click.option(
    "--policy",
    default=None,
    metavar="NAME[:OPTION=VALUE,…]",
    help="Who decides. Default: as recorded; for --re-decide fair.",
)
@click.option(
    "--cluster",
    "cluster_text",
    default=None,
    metavar="SPEC",
    help="On these nodes, such as 16x8xH100, instead of the journal's own.",
)
@output_option("table", "json", "yaml")
@common_options
def replay(
    journal_folder: Path,
    audit: bool,
    redecide: bool,
    policy: str | None,
    cluster_text: str | None,
    form: str,
) -> None:
    """Replay a journal: check it, ask another policy, or play it under that or on other nodes.

    With --policy or --cluster alone the jobs come as they came and do the work that they did; what
    would have become of them is printed beside what did.
    """
    is_other = not (audit or redecide) and (policy is not None or cluster_text is not None)
    if audit + redecide + is_other != 1:
        raise InvalidRequest("say what to do with the journal", fix=f"one of {WAYS}")
    if (cluster_text is not None and not is_other) or (audit and policy is not None):
        raise InvalidRequest("--audit takes no policy or cluster, --re-decide no cluster", fix=WAYS)
    tools = load_tools()
    with journal_errors(tools, journal_folder):
        if audit:
            _audit(tools.verify(existing(journal_folder)), journal_folder, form)
        elif redecide:
            _redecide(tools.events(existing(journal_folder)), policy or "fair", form)
        else:
            _otherwise(tools.events(existing(journal_folder)), policy, cluster_text, form)


def _otherwise(events: Any, policy: str | None, cluster_text: str | None, form: str) -> None:
    """Play the journal under this policy, on these nodes."""
    tools, kinds = load(), None
    if cluster_text is not None:
        try:
            kinds = tools.clusters.parse_cluster(cluster_text)
        except ValueError as error:
            raise InvalidRequest(f"no cluster {cluster_text!r}", fix=f"name {error}") from None
    recorded = tools.recorded.read(events)
    label, made = policy_of(tools, recorded, policy)
    with broken_off(tools):
        found = tools.validate.compare(recorded, made, kinds)
    if not found.compared:
        raise MassError(
            "no job of the journal would have ended",
            why=f"{found.jobs} ended as it was recorded, and {len(found.never_ran)} of them never "
            "get places",
            fix="name a cluster that can hold them; massctl sim validate replays it as it was",
        )
    tell_unknown(recorded)
    show(found, "Counterfactual", label, cluster_text or "", form)


def _audit(report: Any, folder: Path, form: str) -> None:
    if not report.ok:
        raise Conflict(
            f"the journal at {folder} does not replay to what it recorded",
            why=report.problem,
            fix="keep a copy of the directory and report it; a backup may be whole",
            id=str(folder),
        )
    if form == "table":
        print(f"{report.revisions} events give {report.hashes_checked} recorded hashes again")
        return
    counts = {"revisions": report.revisions, "hashes": report.hashes_checked}
    view = {"apiVersion": "aimass/v1", "kind": "Audit", "ok": True, **counts}
    print_value({**view, "stateHash": report.state_hash}, form)


def _redecide(events: Any, policy: str, form: str) -> None:
    with installed():
        from aimass.simulator import replay as replays
        from aimass.simulator.run_policies import parse_policies, refuse_rounds
    with refusals(FIX):
        named = parse_policies(policy)
        if len(named) > 1:
            raise InvalidRequest("more than one policy", fix=FIX)
        refuse_rounds(named, ROUNDS_FIX)
        found = replays.redecide(events, named[0].make())
    if form != "table":
        view = {"apiVersion": "aimass/v1", "kind": "Redecision", "policy": policy}
        rows = [_row(difference) for difference in found.differences]
        counts = {"decidedBy": found.policies, "decisions": found.decisions}
        print_value({**view, **counts, "differences": rows}, form)
        return
    rows = [_row(difference) for difference in found.differences[:SHOWN]]
    if rows:
        print("".join(table(rows, _COLUMNS)), end="")
        more = len(found.differences) - len(rows)
        print(f"… and {more} more: -o json\n" if more else "")
    print(
        f"{policy} would have decided {len(found.differences)} of {found.decisions} times "
        f"otherwise than {', '.join(found.policies) or 'nobody'}"
    )


def _row(difference: Any) -> Row:
    """As plain values, under the names that -o json has."""
    return {
        "revision": difference.revision,
        "at": units.time_text(difference.at_ms),
        "started": list(difference.only_started),
        "stopped": list(difference.only_stopped),
        "wouldStart": list(difference.would_start),
        "wouldStop": list(difference.would_stop),
        "elsewhere": list(difference.elsewhere),
    }


def _ids(name: str) -> Any:
    return lambda row: " ".join(row[name])


_COLUMNS: list[Column[Row]] = [
    Column("REVISION", lambda row: str(row["revision"]), is_right=True),
    Column("AT", lambda row: str(row["at"])),
    Column("STARTED", _ids("started")),
    Column("STOPPED", _ids("stopped")),
    Column("WOULD-START", _ids("wouldStart")),
    Column("WOULD-STOP", _ids("wouldStop")),
    Column("ELSEWHERE", _ids("elsewhere")),
]
