"""How long one allotment takes: everybody may hold anything, jobs come, go and progress.

64 GPUs for 64 jobs, and 2,048 for 512, of three models; eleven sizes up to 64 GPUs on each. Between
two decisions a minute passes and three jobs are replaced by new ones, so that most hold something.
"""

import time
from dataclasses import replace
from random import Random

from aimass.core.model import JobId
from aimass.core.policy import Fuel
from aimass.policies.allot_speeds import Levels, Model
from aimass.policies.allot_view import LiveJob, View
from aimass.policies.allotter import Allotter
from aimass.policies.mass_allot import Mass
from aimass.policies.optimus import Optimus
from aimass.policies.sia_allot import Sia
from benchmarks.record import Record, percentiles

SIZES = (1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64)
CROWDS = {"64": (64, 64), "2048": (2048, 512)}  # GPUs and jobs
NOW_MS, MINUTE = 10**9, 60_000
DECISIONS = 34
WARM = 4  # the first loads the solver, and starts everybody
REPLACED = 3
FUEL = 5_000_000


def run(scale: float) -> list[Record]:
    """Processor ms of a decision by policy and size, p50 and p99. scale: how many decisions."""
    return [
        record
        for allotter in (Sia(), Mass(), Optimus())
        for label, (gpus, jobs) in CROWDS.items()
        for record in percentiles(
            f"sim_solve_{allotter.name}_{label}",
            "ms",
            [_decide(allotter, gpus, jobs, max(2, round(DECISIONS * scale)))],
        )
    ]


def _decide(allotter: Allotter, gpus: int, jobs: int, decisions: int) -> list[float]:
    random = Random(1)
    crowd = [_job(random, seq, NOW_MS) for seq in range(jobs)]
    models = (Model("T4", gpus // 4, 4), Model("V100", gpus // 4, 8), Model("A100", gpus // 2, 8))
    took_ms = []
    for at in range(WARM + decisions):
        now_ms = NOW_MS + at * MINUTE
        began_s = time.process_time()
        chosen = allotter.share_out(View(now_ms, models, tuple(crowd)), Fuel(FUEL))
        took_ms.append((time.process_time() - began_s) * 1000)
        held = {choice.job.seq: choice.held for choice in chosen.choices}
        crowd = [
            replace(job, has=held.get(job.seq), left_ms=max(1, job.left_ms - MINUTE))
            for job in crowd
        ]
        for seq in random.sample(range(jobs), REPLACED):
            crowd[seq] = _job(random, seq, now_ms)
    return took_ms[WARM:]


def _job(random: Random, seq: int, now_ms: int) -> LiveJob:
    """An elastic job that waits: faster on newer models, and less so with every GPU more."""
    most, power = random.choice((4, 8, 16, 32, 64)), random.uniform(0.5, 0.95)
    levels: list[Levels] = []
    for factor in (1.0, random.uniform(1.2, 2), random.uniform(2, 6)):
        sizes = [size for size in SIZES if size <= most]
        levels.append(tuple((size, int(1e6 * factor * size**power)) for size in sizes))
    return LiveJob(
        JobId(f"job-{seq}"),
        seq,
        "default",
        0,
        tuple(levels),
        (1,),
        1,
        left_ms=int(random.lognormvariate(15, 1.5)),
        submitted_ms=now_ms - random.randrange(10**7),
        restart_ms=30_000,
        restarts=random.randrange(4),
        elastic_role=0,
    )
