"""What is left of a job, in every setting, to the millisecond."""

import random

import pytest

from aimass.core.speeds import NORMAL_MICRO, SpeedOn
from aimass.simulator.work import Setting, TimedWork

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
