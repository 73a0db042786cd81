"""round_jobs(): a trace as Gavel's round loop wants it: steps, and steps a second on each type.

With a table of throughputs these are the reference's own, so that no float is another; any other
trace has steps of a millisecond of work at normal speed.
"""

from collections.abc import Iterable, Sequence

from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.speeds import NORMAL_MICRO, speed_on
from aimass.simulator.clusters import Kinds
from aimass.simulator.perf import GavelTable
from aimass.simulator.rounds_gavel import RoundJob
from aimass.simulator.tracejob import TraceJob

STEPS_A_SECOND = 1000  # of a job that has no row in a table, at normal speed


def capacity_of(kinds: Kinds, types: Sequence[str]) -> tuple[int, ...]:
    """GPUs of each type."""
    return tuple(sum(kind.total for kind in kinds if kind.gpu_type == name) for name in types)


def types_of(kinds: Kinds, jobs: Sequence[TraceJob]) -> tuple[str, ...]:
    """The cluster's types, fastest last, then by name.

    By how fast the jobs are that run there, on average, each as a part of its own best: a few that
    are several times faster somewhere do not settle it for all.
    """
    names = sorted({kind.gpu_type for kind in kinds})
    parts: dict[str, list[int]] = {name: [] for name in names}
    for job in jobs:
        speeds = [_speed_micro(job, name) for name in names]
        for name, speed in zip(names, speeds, strict=True):
            if speed:
                parts[name].append(speed * NORMAL_MICRO // max(speeds))
    return tuple(sorted(names, key=lambda name: sum(parts[name]) // max(1, len(parts[name]))))


def round_jobs(
    jobs: Iterable[TraceJob], types: Sequence[str], table: GavelTable | None = None
) -> list[RoundJob]:
    """The jobs by submission, with rates by type. O(jobs * types)."""
    known = {name.lower(): name for name in table.types} if table is not None else {}
    return [_round_job(job, types, table, known) for job in jobs]


def _round_job(
    job: TraceJob, types: Sequence[str], table: GavelTable | None, known: dict[str, str]
) -> RoundJob:
    gpus = -(-job.gpu_milli // WHOLE_GPU_MILLI)
    rates: tuple[float, ...] = ()
    steps = job.steps
    if table is not None and steps:
        app = job.app.rpartition("|")[0]
        names = (known.get(name.lower()) for name in types)
        rates = tuple(table.steps_per_s(app, gpus, name) if name else 0.0 for name in names)
    if not any(rates):
        steps = job.work_ms
        rates = tuple(STEPS_A_SECOND * _speed_micro(job, name) / NORMAL_MICRO for name in types)
    due_s = (job.submit_ms + job.slo_ms) / 1000 if job.slo_ms else 0.0
    return RoundJob(job.submit_ms / 1000, steps, gpus, rates, 1.0 + max(0, job.priority), due_s)


def _speed_micro(job: TraceJob, name: str) -> int:
    """The speed on one node of that type; normal where nobody says, 0 where it cannot run."""
    if job.gpu_types and name.lower() not in {one.lower() for one in job.gpu_types}:
        return 0
    named = (name, *(s.gpu_type for s in job.speeds if s.gpu_type.lower() == name.lower()))
    gpus = -(-job.gpu_milli // WHOLE_GPU_MILLI)
    found = (speed_on(job.speeds, one, gpus, 1) for one in reversed(named))
    return next((speed for speed in found if speed is not None), NORMAL_MICRO)
