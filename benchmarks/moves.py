"""What moving checkpointed jobs gains, and what it costs: the same jobs with moves and without.

64 nodes of 8 GPUs and jobs of 1, 2, 4 and 8 GPUs that come and go, played by the simulator: the
real decide, check and apply in virtual time. They come at random (exponential gaps), run for 2
hours on average (exponential, 6 minutes to 12 hours) and say one to three times as much. Counted
are those that come after a warm-up.
"""

import random
from dataclasses import dataclass, field
from statistics import mean

from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record as Life
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.run import run as simulate
from aimass.simulator.tracejob import TraceJob
from benchmarks.record import Record, of_rounds

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
NODES = 64
HOURS = 24  # of arrivals
WARM_UP = 0.2  # of these
GPUS = ((1, 0.4), (2, 0.2), (4, 0.2), (8, 0.2))  # GPUs of a job, share of the jobs
RUN_MS, RUN_MS_MIN, RUN_MS_MAX = 2 * HOUR_MS, HOUR_MS // 10, 12 * HOUR_MS
SEEDS = (1, 2)
MOVES = 4
BUDGET_GPUH = 1_000
STOP_MS = 30_000  # from the order to stop until the places are free


@dataclass(frozen=True, slots=True)
class Case:
    """load: GPU time asked for, of what there is. every_ms: between two checkpoints. start_ms: from
    the order to start until a program works."""

    load: float = 0.95
    every_ms: int = 10 * MINUTE_MS
    start_ms: int = MINUTE_MS
    told_most: float = 3.0  # of the true run times, what users say at most
    budget_gpuh: int = BUDGET_GPUH
    movable: float = 1.0  # share of the jobs


CASES = {
    "load 85 %": Case(0.85),
    "load 90 %": Case(0.90),
    "load 95 %": Case(0.95),
    "load 100 %": Case(1.00),
    "a checkpoint an hour": Case(every_ms=HOUR_MS),
    "15 minutes to start": Case(start_ms=15 * MINUTE_MS),
    "three in ten may be moved": Case(movable=0.3),
    "10 GPU-hours a day": Case(budget_gpuh=10),
    "run times known": Case(told_most=1.0),
}


@dataclass
class Measured:
    """What one run gives.

    waits: in hours, by GPUs of the counted jobs. lives: hours from submission until their end.
    lost_gpuh, waited_gpuh: GPU-hours a day that moves cost in work, stopping and starting, and that
    the counted jobs waited. allocated: share of the GPUs while jobs came.
    """

    waits: dict[int, list[float]] = field(default_factory=lambda: {g: [] for g, _ in GPUS})
    lives: list[float] = field(default_factory=list)
    moved: float = 0.0
    lost_gpuh: float = 0.0
    allocated: float = 0.0
    waited_gpuh: float = 0.0

    @property
    def wait(self) -> float:
        """Mean of all jobs."""
        return mean(w for waits in self.waits.values() for w in waits)


def jobs_of(case: Case, seed: int, nodes: int, hours: float) -> list[TraceJob]:
    """All jobs, by submission."""
    draw = random.Random(seed)
    work = sum(g * share for g, share in GPUS) * _mean_run_ms()
    gap_ms = work / (nodes * 8 * case.load)
    jobs: list[TraceJob] = []
    at_ms = 0.0
    while at_ms < hours * HOUR_MS:
        gpus = draw.choices([g for g, _ in GPUS], [share for _, share in GPUS])[0]
        run_ms = int(min(RUN_MS_MAX, max(RUN_MS_MIN, draw.expovariate(1 / RUN_MS))))
        told_ms = int(run_ms * draw.uniform(1, case.told_most))
        is_movable = draw.random() < case.movable
        jobs.append(
            TraceJob(
                f"t{len(jobs)}",
                int(at_ms),
                run_ms,
                1000 * gpus,
                told_ms=told_ms,
                is_movable=is_movable,
            )
        )
        at_ms += draw.expovariate(1 / gap_ms)
    return jobs


def _mean_run_ms() -> float:
    draw = random.Random(0)
    runs = (draw.expovariate(1 / RUN_MS) for _ in range(20_000))
    return mean(min(RUN_MS_MAX, max(RUN_MS_MIN, run_ms)) for run_ms in runs)


def measure(case: Case, seed: int, moves: int, nodes: int, hours: float) -> Measured:
    """One run; moves: as of massd, 0 without."""
    found = Measured()
    begin_ms, end_ms = int(WARM_UP * hours * HOUR_MS), int(hours * HOUR_MS)
    days = (end_ms - begin_ms) / HOUR_MS / 24

    def sink(life: Life) -> None:
        gpus, came_ms = life.job.gpu_milli // 1000, life.job.submit_ms
        held_ms = min(end_ms, life.end_ms) - max(begin_ms, life.start_ms)
        found.allocated += max(0, held_ms) * gpus / (end_ms - begin_ms) / (nodes * 8)
        if came_ms < begin_ms:
            return
        found.waits[gpus].append((life.start_ms - came_ms) / HOUR_MS)
        found.lives.append((life.end_ms - came_ms) / HOUR_MS)
        found.waited_gpuh += gpus * found.waits[gpus][-1] / days
        if life.preemptions:
            found.moved += life.preemptions / days / 24
            cost_ms = life.held_ms - life.worked_ms - case.start_ms  # all but its first start
            found.lost_gpuh += cost_ms * gpus / HOUR_MS / days

    policy = make_policy(moves=moves, move_budget_gpu_ms=case.budget_gpuh * HOUR_MS)
    costs = Costs(start_ms=case.start_ms, checkpoint_ms=case.every_ms, stop_ms=STOP_MS)
    kinds = parse_cluster(f"{nodes}x8xH100")
    simulate(jobs_of(case, seed, nodes, hours), kinds, policy, sink, costs)
    return found


def run(scale: float) -> list[Record]:
    """Waits with moves by waits without, and what moves cost; see main() for other cases."""
    nodes, hours = max(8, round(NODES * scale)), max(6.0, HOURS * scale)
    pairs = [
        (measure(Case(), seed, 0, nodes, hours), measure(Case(), seed, MOVES, nodes, hours))
        for seed in SEEDS
    ]
    n = sum(len(on.lives) for _, on in pairs)
    ratios = {
        "moves_wait": [_ratio(on.wait, off.wait) for off, on in pairs],
        "moves_wait_8": [_ratio(mean(on.waits[8]), mean(off.waits[8])) for off, on in pairs],
        "moves_waited": [_ratio(on.waited_gpuh, off.waited_gpuh) for off, on in pairs],
    }
    return [
        *(of_rounds(name, "of without", values, n) for name, values in ratios.items()),
        of_rounds("moves_an_hour", "moves/h", [on.moved for _, on in pairs], n),
        of_rounds("moves_lost", "GPU-hours/day", [on.lost_gpuh for _, on in pairs], n),
    ]


def _ratio(some: float, others: float) -> float:
    return some / others if others else 1.0


def main() -> None:
    """Print the table of docs/packing.md: every case without moves and with, over SEEDS."""
    print("| case | moves | wait, min | 8-GPU wait, min | waited | moves an hour | lost |")
    print("|---|---|---|---|---|---|---|")
    for name, case in CASES.items():
        for moves in (0, MOVES):
            runs = [measure(case, seed, moves, NODES, HOURS) for seed in SEEDS]
            wait = 60 * mean(each.wait for each in runs)
            wait_8 = 60 * mean(mean(each.waits[8]) for each in runs)
            waited, lost = mean(e.waited_gpuh for e in runs), mean(e.lost_gpuh for e in runs)
            moved = mean(each.moved for each in runs)
            figures = f"{wait:.1f} | {wait_8:.1f} | {waited:.0f} | {moved:.1f} | {lost:.0f}"
            print(f"| {name} | {moves} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
