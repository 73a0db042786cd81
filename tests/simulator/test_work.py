"""What is left of a job, in every setting, to the millisecond."""

import random

import pytest

from aimass.core.decider import Decider
from aimass.core.model import NodeId
from aimass.core.speeds import NORMAL_MICRO, SpeedOn
from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Change, Costs, Models
from aimass.simulator.run import EPOCH_MS
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.work import Setting, TimedWork
from aimass.simulator.world import World

SPEEDS = (
    SpeedOn("A", 0, 0, 2_500_000),
    SpeedOn("A", 4, 1, 1_500_000),
    SpeedOn("A", 4, 0, 1_000_000),
    SpeedOn("", 2, 0, 300_000),
)


@pytest.mark.parametrize(
    ("on", "duration_ms"),
    [
        (Setting("A", (4,)), 80_000),
        (Setting("A", (2, 2)), 120_000),
        (Setting("A", (1,)), 48_000),
        (Setting("B", (2,)), 400_000),
        (Setting("B", (4,)), 120_000),  # nobody says: normal
        (Setting("B", (8,)), 60_000),  # nor of twice as many GPUs: twice that
    ],
)
def test_work_takes_as_long_as_its_speed_there_says(on: Setting, duration_ms: int) -> None:
    assert TimedWork(120_000, 4, SPEEDS).duration_ms(on) == duration_ms


def test_in_another_size_it_is_as_fast_as_there_in_proportion() -> None:
    work = TimedWork(120_000, 4, (SpeedOn("A", 4, 0, 2 * NORMAL_MICRO),))
    assert work.duration_ms(Setting("A", (8,))) == 30_000
    assert work.duration_ms(Setting("A", (1, 1))) == 120_000


def test_however_often_it_saves_nothing_is_rounded_away() -> None:
    chance, speeds = random.Random(1), (SpeedOn("A", 0, 0, 1_234_567), SpeedOn("B", 0, 0, 76_543))
    work, left_nano = TimedWork(10**7, 1, speeds), 10**7 * NORMAL_MICRO
    for _ in range(500):
        speed, elapsed_ms = chance.choice(speeds), chance.randrange(5000)
        work.advance(Setting(speed.gpu_type, (1,)), elapsed_ms)
        left_nano -= elapsed_ms * speed.speed_micro
    assert work.left_ms() == -(-left_nano // NORMAL_MICRO)
    assert work.duration_ms(Setting("B", (1,))) == -(-left_nano // 76_543)


def test_where_it_cannot_run_nobody_may_place_it() -> None:
    with pytest.raises(AssertionError, match="cannot run"):
        TimedWork(1000, 1, (SpeedOn("A", 0, 0, 0),)).duration_ms(Setting("A", (1,)))


class _Reporting(TimedWork):
    """Work that says every minute what is left, and that it is twice as fast on four GPUs."""

    def __init__(self, work_ms: int) -> None:
        super().__init__(work_ms)
        self.report_every_ms = 60_000

    def speeds(self) -> tuple[SpeedOn, ...]:
        return (SpeedOn("A", 4, 0, 2 * NORMAL_MICRO),)


def test_what_a_program_reports_reaches_the_scheduler_and_is_saved() -> None:
    records: list[Record] = []
    world = World(
        parse_cluster("1x1xA"),
        Costs(),
        records.append,
        work_of=lambda job: _Reporting(job.work_ms),
        models=Models(changes=(Change(210_000, drain=(NodeId("n0"),), drain_ms=50_000),)),
    )
    world.open(EPOCH_MS)
    world.submit(TraceJob("a", 0, 300_000, 1000), EPOCH_MS)
    (job,) = world.cluster.jobs.values()
    decider = Decider(make_policy("fifo"))
    seen = []
    while not records:
        plan = decider.decide(world.cluster)
        if not plan.is_empty:
            world.carry_out(plan)
        at_ms = world.next_ms()
        assert at_ms is not None
        world.advance(at_ms)
        seen.append((at_ms - EPOCH_MS, job.told.left_ms))
    assert seen[:3] == [(60_000, 240_000), (120_000, 180_000), (180_000, 120_000)]
    assert job.told.speeds == (SpeedOn("A", 4, 0, 2 * NORMAL_MICRO),)
    assert (records[0].worked_ms, records[0].lost_ms) == (300_000, 0)
    assert seen[-1][0] == 350_000
