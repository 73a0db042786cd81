"""How `massctl sim validate` and `replay` show a recorded run beside a simulated one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from aimass import units
from aimass.cli_sim_base import Row, installed
from aimass.errors import InvalidRequest, MassError
from aimass.output import Column, clean, hint, print_value, table

SHOWN = 10
NEVER = "jobs that ran live never run"
ROUNDS_FIX = "name another: massd has no rounds"
FIX = "choose one policy; massctl sim run --help names them"


class Tools(NamedTuple):
    """The parts of the simulator that replay a journal."""

    clusters: Any
    policies: Any
    recorded: Any
    validate: Any
    error: type[Exception]


def load() -> Tools:
    """Load them, or say what to install."""
    with installed():
        from aimass.simulator import clusters, recorded, run_policies, validate
        from aimass.simulator.run import SimulationError
    return Tools(clusters, run_policies, recorded, validate, SimulationError)


def policy_of(tools: Tools, recorded: Any, label: str | None) -> tuple[str, Any]:
    """The policy of this label, or as recorded. Raises InvalidRequest."""
    try:
        if label is None:
            found: tuple[str, Any] = tools.validate.recorded_policy(recorded)
            if len(recorded.tags) > 1:
                hint(
                    f"{len(recorded.tags)} policies made the journal; the last is taken throughout"
                )
            return found
        named = tools.policies.parse_policies(label)
        tools.policies.refuse_rounds(named, ROUNDS_FIX)
    except ValueError as error:
        what, _, fix = str(error).partition("; fix: ")
        raise InvalidRequest(what, fix=fix or FIX) from None
    if len(named) > 1:
        raise InvalidRequest("more than one policy", fix=FIX)
    return label, named[0].make()


@contextmanager
def broken_off(tools: Tools) -> Iterator[None]:
    """Turn a simulation that breaks off into an ordinary error."""
    try:
        yield
    except tools.error as error:
        raise MassError(f"the simulation broke off: {error}", fix="report it") from None


def tell_unknown(recorded: Any) -> None:
    """Say of how many jobs the work had to be guessed."""
    if recorded.guessed:
        what = "did not end by themselves: they take as long as they said or ran, or as most do"
        hint(f"{recorded.guessed} jobs {what}")


def show(found: Any, kind: str, policy: str, cluster: str, form: str) -> None:
    """Print the comparison as a table or document."""
    rows = [_figure(name, value, found.simulated[name]) for name, value in found.live.items()]
    jobs = [_job(deviation) for deviation in found.deviations if deviation.by_ms]
    counts = {"jobs": found.jobs, "compared": found.compared, "neverRan": list(found.never_ran)}
    if found.never_ran:
        ran = "job that ran live never runs" if len(found.never_ran) == 1 else NEVER
        hint(f"{len(found.never_ran)} {ran} when simulated, and left out: too large, or no room")
    alone = {"onlyLive": list(found.only_live), "onlySimulated": list(found.only_simulated)}
    if form != "table":
        view = {"apiVersion": "aimass/v1", "kind": kind, "policy": policy, "cluster": cluster}
        print_value({**view, **counts, **alone, "figures": rows, "deviations": jobs}, form)
        return
    print("".join(table(rows, _FIGURES)), end="")
    if jobs:
        print("\nJobs that ended at other times, the most different first:\n")
        print("".join(table(jobs[:SHOWN], _JOBS)), end="")
        more = len(jobs) - SHOWN
        print(f"… and {more} more: -o json\n" if more > 0 else "", end="")
    where = f" on {cluster}" if cluster else ""
    print(f"\n{found.compared} of {found.jobs} jobs compared, simulated under {policy}{where}")
    for name, ids in (("live", found.only_live), ("simulated", found.only_simulated)):
        if ids:
            print(f"ended only {name}: {' '.join(ids[:SHOWN])}{' …' if len(ids) > SHOWN else ''}")


def _figure(name: str, live: float | None, simulated: float | None) -> Row:
    part = None
    if live and simulated is not None:
        part = round(simulated / live - 1, 6)
    elif live == simulated:
        part = 0.0
    rounded = [None if value is None else round(value, 6) for value in (live, simulated)]
    return {"figure": name, "live": rounded[0], "simulated": rounded[1], "deviation": part}


def _job(deviation: Any) -> Row:
    live, simulated = deviation.live, deviation.simulated
    return {
        "id": live.job_id,
        "name": live.name,
        "liveJctS": live.jct_ms / 1000,
        "simulatedJctS": simulated.jct_ms / 1000,
        "byS": deviation.by_ms / 1000,
        "why": deviation.why,
    }


def _value(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name.endswith("_s"):
        return units.span_text(round(1000 * value))
    return f"{100 * value:.1f} %" if name == "gpu_util" else f"{value:g}"


def _part(row: Row) -> str:
    return "" if row["deviation"] is None else f"{100 * row['deviation']:+.2f} %"


_FIGURES: list[Column[Row]] = [
    Column("FIGURE", lambda row: str(row["figure"]).removesuffix("_s").upper()),
    Column("LIVE", lambda row: _value(row["figure"], row["live"]), is_right=True),
    Column("SIMULATED", lambda row: _value(row["figure"], row["simulated"]), is_right=True),
    Column("DEVIATION", _part, is_right=True),
]
_JOBS: list[Column[Row]] = [
    Column("JOB", lambda row: str(row["id"])),
    Column("NAME", lambda row: clean(str(row["name"]))),
    Column("LIVE", lambda row: _value("jct_s", row["liveJctS"]), is_right=True),
    Column("SIMULATED", lambda row: _value("jct_s", row["simulatedJctS"]), is_right=True),
    Column("BY", lambda row: f"{row['byS']:+,.1f} s", is_right=True),
    Column("WHY", lambda row: clean(str(row["why"]))),
]
