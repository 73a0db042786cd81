"""play(how, ...): one run as it was asked for: in events, or in a published simulator's rounds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from aimass.core.speeds import NORMAL_MICRO
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import Kinds
from aimass.simulator.models import PLAIN, Costs, Models
from aimass.simulator.parity_tiresias import as_tiresias
from aimass.simulator.run import Outcome, run
from aimass.simulator.run_gavel import GAVEL_NAMES, gavel_rounds
from aimass.simulator.run_policies import Named
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.work import Work
from aimass.simulator.world import timed_work


@dataclass(frozen=True, slots=True)
class How:
    """What a run is made of besides its jobs and its policy.

    is_parity: see run. round_s: above 0 it is decided only at the ends of rounds, as the simulator
    does from which the policy has its name. tables: the trace's format and where its performance
    tables are; None: it has none.
    """

    kinds: Kinds
    costs: Costs
    is_parity: bool = False
    round_s: int = 0
    tables: tuple[str, Path] | None = None
    seed: int = 0
    models: Models = PLAIN


def play(
    how: How,
    named: Named,
    jobs: Iterable[TraceJob],
    sink: Callable[[Record], None],
    progress: Callable[[int], None] | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Play the jobs; arguments as of run.

    Raises SimulationError, FileProblem, and ValueError where there are no such rounds.
    """
    if how.round_s:
        return _rounds(how, named.label)(
            jobs, how.kinds, sink=sink, progress=progress, observer=observer
        )
    policy = named.make()
    work_of: Callable[[TraceJob], Work] = timed_work
    models = how.models
    if how.tables is not None and how.tables[0] == "pollux":
        name = named.label.partition(":")[0]
        jobs, work_of = _pollux(how, how.tables[1], name, policy.allot is not None, jobs)
        models = replace(models, paces=replace(models.paces, nodes_micro=NORMAL_MICRO))
    return run(
        jobs,
        how.kinds,
        as_tiresias(policy) if how.is_parity else policy,
        sink,
        how.costs,
        how.is_parity,
        progress,
        observer,
        models,
        how.seed,
        work_of,
    )


def notes(how: How) -> list[str]:
    """What is to be known of all runs that are made so."""
    if how.tables is None or how.tables[0] != "pollux":
        return []
    from aimass.simulator.perf_pollux_off_table import has_scipy

    if has_scipy():
        return []
    return [
        "without SciPy times off the tables are interpolated otherwise than in the artifact: "
        "averages move by up to 4 %; fix: pip install 'aimass[pollux]'"
    ]


def _pollux(
    how: How, folder: Path, name: str, is_read: bool, jobs: Iterable[TraceJob]
) -> tuple[Iterable[TraceJob], Callable[[TraceJob], Work]]:
    """Jobs choose their batches; under the artifact's own policies they keep what they ask for.

    What it costs to be on several nodes is in the tables.
    """
    from aimass.simulator.perf_pollux import Apps
    from aimass.simulator.work_goodput import declared, fixed_works, goodput_works, rigid

    apps, of_node = Apps(folder), max(kind.gpus for kind in how.kinds)
    if name == "pollux-tiresias":
        return map(rigid, jobs), fixed_works(apps)
    if name == "pollux-optimus":
        return (declared(job, apps, of_node) for job in jobs), fixed_works(apps)
    return jobs, goodput_works(apps, of_node, is_read)


def _rounds(how: How, label: str) -> Callable[..., Outcome]:
    """What plays these jobs in rounds under this policy. Raises ValueError."""
    costs, restart_ms = how.costs, how.costs.restart_ms
    is_plain = how.models == PLAIN and not (costs.checkpoint_ms or costs.pull_ms or how.is_parity)
    if any(how.models.faults.rates):
        raise ValueError("rounds know no failures; fix: drop --failures, or --round")
    if costs.start_ms or costs.stop_ms or not is_plain:
        raise ValueError("rounds know no such costs; fix: give --restart at most, with --round")
    name, form = label.partition(":")[0], how.tables[0] if how.tables else ""
    if name in GAVEL_NAMES:
        if restart_ms:
            raise ValueError("Gavel's rounds know no restarts; fix: drop --restart, or --round")
        tables = how.tables[1] if how.tables is not None and form == "gavel" else None
        return gavel_rounds(label, tables, how.round_s, how.seed)
    if name.startswith("pollux-") and name == label:
        from aimass.simulator import rounds_pollux
        from aimass.simulator.perf_pollux import Apps

        if form != "pollux" or how.tables is None:
            raise ValueError(f"{name} has rounds on traces of format pollux; fix: drop --round")
        if restart_ms % 1000:
            raise ValueError("rounds count whole seconds; fix: give --restart in seconds")
        return partial(
            rounds_pollux.play,
            name=name,
            apps=Apps(how.tables[1]),
            round_s=how.round_s,
            restart_s=restart_ms // 1000,
        )
    raise ValueError(f"{label} is of no simulator with rounds; fix: drop --round")
