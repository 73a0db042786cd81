"""Views made by hand, and drawn ones: what an allotter sees, without a cluster."""

from dataclasses import replace

from hypothesis import strategies as st

from aimass.core.model import JobId
from aimass.policies.allot_speeds import Levels, Model
from aimass.policies.allot_view import UNKNOWN, Held, LiveJob, View

HOUR = 3_600_000
ONE_MODEL = (Model("T4", 16, 4),)
NOW_MS = 1_000 * HOUR


def curve(*speeds: float, first: int = 1) -> Levels:
    """Levels of first, 2 * first, ... GPUs, with these speeds."""
    return tuple((first << i, int(speed * 10**6)) for i, speed in enumerate(speeds))


def job(seq: int, *levels: Levels, left_ms: int = HOUR, **others: object) -> LiveJob:
    """A job that waits since now; elastic when it has several levels."""
    is_elastic = any(len(rising) > 1 for rising in levels)
    least = min(rising[0][0] for rising in levels if rising)
    made = LiveJob(
        JobId(f"job-{seq}"),
        seq,
        "default",
        0,
        levels,
        (least,),
        least,
        left_ms=left_ms,
        submitted_ms=NOW_MS,
        restart_ms=30_000,
        elastic_role=0 if is_elastic else -1,
    )
    return replace(made, **others)  # type: ignore[arg-type]


def view(*jobs: LiveJob, models: tuple[Model, ...] = ONE_MODEL, **weights: int) -> View:
    """A view of these jobs now."""
    return View(NOW_MS, models, jobs, weights=weights)


@st.composite
def views(draw: st.DrawFn) -> View:
    """Up to three models, and a dozen jobs of all kinds; what they hold fits."""
    models = tuple(
        Model(name, draw(st.integers(0, 24)), 4)
        for name in ("A", "B", "C")[: draw(st.integers(1, 3))]
    )
    left = [model.gpus for model in models]
    jobs = []
    for seq in range(draw(st.integers(0, 12))):
        levels = tuple(draw(_levels()) for _ in models)
        if not any(levels):
            continue
        made = job(
            seq,
            *levels,
            left_ms=draw(st.sampled_from((UNKNOWN, 60_000, HOUR, 20 * HOUR))),
            queue=draw(st.sampled_from("ab")),
            priority=draw(st.sampled_from((0, 0, 1))),
            worked_ms=draw(st.integers(0, HOUR)),
            had_gpu_ms=draw(st.integers(0, 9 * HOUR)),
            submitted_ms=NOW_MS - draw(st.integers(0, 5 * HOUR)),
            restarts=draw(st.integers(0, 3)),
            due_ms=draw(st.sampled_from((0, NOW_MS - 1, NOW_MS + HOUR, NOW_MS + 9 * HOUR))),
        )
        model = draw(st.integers(0, len(models) - 1))
        sizes = [gpus for gpus, _ in levels[model] if gpus <= left[model]]
        if sizes and draw(st.booleans()):
            has = Held(model, draw(st.sampled_from(sizes)))
            left[model] -= has.gpus
            is_fixed = draw(st.integers(0, 4)) == 0
            made = replace(made, has=has, is_fixed=is_fixed, free_ms=NOW_MS + 9 if is_fixed else 0)
        jobs.append(made)
    return View(NOW_MS, models, tuple(jobs), weights={"a": 3, "b": 1})


@st.composite
def _levels(draw: st.DrawFn) -> Levels:
    """Rising, concave or not; now and then none: the job cannot run there."""
    speed, gpus, levels = 0, draw(st.sampled_from((1, 1, 2, 3))), []
    for _ in range(draw(st.sampled_from((0, 1, 1, 4)))):
        speed += draw(st.integers(1, 1_000_000))
        levels.append((gpus, speed))
        gpus *= 2
    return tuple(levels)
