"""Sia's mixed cluster: jobs of the Pollux workloads on T4, 2080 Ti and A100 (table c).

What is measured of these jobs is how they train on T4. On the other models the same curves are
taken, faster by one factor for each application: see RATIOS.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from aimass.core.speeds import NORMAL_MICRO, SpeedOn, Speeds
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.perf_pollux import GPUS_OF_NODE, App, Apps, Placement
from aimass.simulator.run import Outcome, run
from aimass.simulator.run_how import How, play
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace
from aimass.simulator.work import Setting, Work
from aimass.simulator.work_goodput import GoodputWork, rigid

CLUSTER = "6x4xT4+3x8x2080Ti+2x8xA100"  # of Sia's paper (SOSP 2023)
LOADS, SEEDS = (160, 480), range(5)  # jobs in eight hours
WORKLOADS = ("workload-6.csv", "workload-1.csv")
GPUS_MAX = 16  # asked for by a rigid job: so many of each model there are
COSTS = Costs(restart_ms=30_000, resize_every_ms=180_000)
TUNED, FREE, IN_ROUNDS = "tuned", "elastic", "tuned, in rounds"
ROUND_S = 360
RUNS = (
    *(("sia", FREE), ("mass", FREE), ("gavel-max-min-perf", TUNED), ("gavel-ftf-perf", TUNED)),
    *(("gavel-max-min-perf", IN_ROUNDS), ("las", TUNED), ("fair", TUNED), ("sia", TUNED)),
)

# How many times faster than a T4. A100: samples per second on one GPU in ElasticFlow's tables
# (ASPLOS 2023) for both models: imagenet (ResNet-50) 472 over 217 with the largest batches of each,
# deepspeech2 102.4 over 31.5. For the others nobody has both for the same program: the
# geometric mean of these two. 2080 Ti: 13.45 TFLOP/s over 8.1 in single precision, data sheets.
A100_MICRO = {"imagenet": 2_170_000, "deepspeech2": 3_250_000}
A100_OTHERS_MICRO, RTX_MICRO = 2_656_000, 1_660_000


def ratios_micro(app: str) -> dict[str, int]:
    """Its speed on each model, in millionths of that on a T4."""
    return {
        "T4": NORMAL_MICRO,
        "2080Ti": RTX_MICRO,
        "A100": A100_MICRO.get(app, A100_OTHERS_MICRO),
    }


class MixedWork(GoodputWork):
    """A job of Pollux's on any of the three models; a node of eight counts as two of four."""

    def __init__(self, app: App, job: TraceJob, is_tuned: bool) -> None:
        gpus = job.gpu_milli // 1000
        super().__init__(app, job.batch, gpus, is_read=not is_tuned, is_fixed=is_tuned)
        self._ratios = ratios_micro(app.name)
        self._last: tuple[Speeds, Speeds] = ((), ())

    def duration_ms(self, on: Setting) -> int:
        """See Work."""
        alone_ms = super().duration_ms(_in_fours(on))
        return -(-alone_ms * NORMAL_MICRO // self._ratios[on.gpu_type])

    def advance(self, on: Setting, elapsed_ms: int) -> None:
        """See Work."""
        super().advance(_in_fours(on), elapsed_ms * self._ratios[on.gpu_type] // NORMAL_MICRO)

    def speeds(self) -> Speeds:
        """See Work: what it has measured anywhere, for every model."""
        found = super().speeds()
        if found is not self._last[0]:
            everywhere = tuple(
                replace(
                    one, gpu_type=model, speed_micro=max(1, one.speed_micro * micro // NORMAL_MICRO)
                )
                for model, micro in self._ratios.items()
                for one in found
            )
            self._last = (found, everywhere)
        return self._last[1]


def _in_fours(on: Setting) -> Setting:
    return Setting(on.gpu_type, in_fours(on.per_node))


def in_fours(per_node: Placement) -> Placement:
    """The placement on nodes of four, as the tables have them."""
    return tuple(
        min(GPUS_OF_NODE, gpus - first)
        for gpus in per_node
        for first in range(0, gpus, GPUS_OF_NODE)
    )


def jobs_of(seed: int, folder: Path, count: int) -> list[TraceJob]:
    """So many jobs by submission, drawn from both Pollux workloads: what they are, and when.

    Both were drawn from the busiest hours of Philly's trace by the artifact's authors: sizes and
    lengths by its classes of GPU time, all within eight hours.
    """
    chance = Random(f"{seed}/mixed")
    pool = [job for name in WORKLOADS for job in read_trace(folder / "pollux" / "workloads" / name)]
    submits_ms = sorted(job.submit_ms for job in chance.choices(pool, k=count))
    kinds = chance.choices(pool, k=count)
    return [
        _declared(replace(job, name=f"{job.app}-{number}", submit_ms=submit_ms, line=number))
        for number, (job, submit_ms) in enumerate(zip(kinds, submits_ms, strict=True))
    ]


def _declared(job: TraceJob) -> TraceJob:
    """Jobs say how fast they are by model, as Sia measures on one GPU of each beforehand."""
    speeds = tuple(SpeedOn(model, 0, 0, micro) for model, micro in ratios_micro(job.app).items())
    return replace(job, gpu_milli=min(job.gpu_milli, 1000 * GPUS_MAX), speeds=speeds)


def played(
    policy: str, kind: str, seed: int, folder: Path, note: Callable[[Record], None], count: int
) -> Outcome:
    """One run of so many jobs. kind: TUNED (the GPUs and batch asked for), FREE (any GPUs, best
    batches), or IN_ROUNDS: TUNED in Gavel's rounds, where restarts and placement cost nothing."""
    apps, is_tuned = Apps(folder / "pollux" / "apps"), kind != FREE
    jobs, kinds = jobs_of(seed, folder, count), parse_cluster(CLUSTER)
    (named,) = parse_policies(policy)

    def work_of(job: TraceJob) -> Work:
        return MixedWork(apps.app(job.app), job, is_tuned)

    if is_tuned:
        jobs = [*map(rigid, jobs)]
    if kind == IN_ROUNDS:
        return play(How(kinds, Costs(), round_s=ROUND_S), named, jobs, note)
    return run(jobs, kinds, named.make(), note, COSTS, is_parity=True, work_of=work_of)
