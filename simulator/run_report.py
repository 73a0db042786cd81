"""simulate(): one run of a trace under a policy, measured, with a record of every job."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from aimass.simulator.attempts import Record
from aimass.simulator.clusters import Kinds
from aimass.simulator.models import PLAIN, Costs, Models, kinds_ever
from aimass.simulator.pack_files import FileProblem
from aimass.simulator.run_how import How, play
from aimass.simulator.run_policies import Named
from aimass.simulator.run_summary import Row, Tally, job_row, summary
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import TraceJob, fix_of, misfit, spelled
from aimass.simulator.traces import Skip, digest, read_jobs, tables_at


@dataclass(frozen=True, slots=True)
class Setting:
    """What the runs of one comparison share.

    form: one of traces.NAMES, or "auto". error_milli: how far off the run times are that policies
    are told, in thousandths: at 500 up to 1.5 times too long or too short. is_parity: as the
    Tiresias simulator has it; see parity_tiresias and run. perf: where the trace's performance
    tables are, if not beside it. round_s: in rounds of so many seconds, see run_how; 0: in events.
    """

    path: Path
    kinds: Kinds
    form: str = "auto"
    costs: Costs = field(default_factory=Costs)
    error_milli: int = 0
    is_parity: bool = False
    perf: Path | None = None
    round_s: int = 0
    models: Models = PLAIN


def simulate(
    setting: Setting,
    named: Named,
    seed: int = 0,
    skip: Skip | None = None,
    write: Callable[[Row], None] | None = None,
    progress: Callable[[int], None] | None = None,
    change: Callable[[Iterator[TraceJob]], Iterable[TraceJob]] = iter,
    observer: Observer | None = None,
) -> Row:
    """The summary of one run (see run_summary), with what it took.

    skip: as in read_trace; told also of jobs that do not fit on the cluster. write: is given the
    row of every job. change: makes other jobs of those that fit, by submission time as well.
    observer: is told what happens, on the cluster's clock.
    Raises FileProblem, SimulationError and ValueError: what cannot be played in rounds.
    """
    sha256 = digest(setting.path, setting.form, setting.perf)
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    tally = Tally()

    def note(record: Record) -> None:
        tally.add(record)
        if write is not None:
            write({"policy": named.label, "seed": seed, **job_row(record)})

    jobs, how = change(_fitting(setting, seed, skip)), how_of(setting, seed)
    outcome = play(how, named, jobs, note, progress, observer)
    took = {
        "wall_s": round(time.perf_counter() - began_s, 3),
        "cpu_s": round(time.process_time() - cpu_began_s, 3),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    return summary(
        policy=named.label,
        trace=setting.path.name,
        sha256=sha256,
        seed=seed,
        outcome=outcome,
        tally=tally,
        took=took,
    )


def how_of(setting: Setting, seed: int = 0) -> How:
    """What its runs are made of. Raises FileProblem."""
    tables = tables_at(setting.path, setting.form, setting.perf)
    asked = (setting.kinds, setting.costs, setting.is_parity, setting.round_s)
    return How(*asked, tables, seed, setting.models)


def _told(job: TraceJob, error_milli: int, seed: int) -> TraceJob:
    """The job with a run time and speeds that are off, evenly between 1 / (1 + error) and 1 + error
    of the true ones, each by itself."""
    low, high = 1_000_000 // (1000 + error_milli), 1000 + error_milli

    def off(value: int, what: str) -> int:
        seen = blake2b(f"{seed}/{job.line}{what}".encode(), digest_size=4).digest()
        factor_milli = low + (int.from_bytes(seen) * (high - low) >> 32)
        return max(1, value * factor_milli // 1000)

    speeds = tuple(
        replace(speed, speed_micro=off(speed.speed_micro, f"/speed/{at}"))
        for at, speed in enumerate(job.speeds)
    )
    return replace(job, told_ms=off(job.work_ms, ""), told_speeds=speeds)


def _fitting(setting: Setting, seed: int, skip: Skip | None) -> Iterator[TraceJob]:
    """The jobs of the trace that the cluster can hold. Raises FileProblem."""
    is_empty, ever = True, kinds_ever(setting.kinds, setting.models)
    for found in read_jobs(setting.path, setting.form, skip, setting.perf):
        job = spelled(found, ever)
        what = misfit(job, ever)
        if what is not None:
            fix = fix_of(job, ever, "--lenient")
            problem = FileProblem(setting.path, job.line, f"{job.name} {what}", fix)
            if skip is None:
                raise problem
            skip(problem)
            continue
        is_empty = False
        yield _told(job, setting.error_milli, seed) if setting.error_milli else job
    if is_empty:
        raise FileProblem(setting.path, 1, "no job fits on the cluster", "name a larger cluster")
