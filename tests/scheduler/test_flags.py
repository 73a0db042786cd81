"""What massd's flags may say."""

import click
import pytest

from aimass.scheduler.flags import GPU_HOURS_MAX, Duration, GpuHours


@pytest.mark.parametrize(
    ("text", "hours"),
    [("10gpuh", 10), ("0.5gpuh", 0.5), (" 7 ", 7), ("0", 0), ("none", GPU_HOURS_MAX)],
)
def test_gpu_hours_are_read(text: str, hours: float) -> None:
    assert GpuHours().convert(text, None, None) == hours


@pytest.mark.parametrize("text", ["", "10h", "-1", "1e3", "gpuh", "9999999999", "10 gpuh"])
def test_what_are_no_gpu_hours_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="10gpuh"):
        GpuHours().convert(text, None, None)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("200ms", 0.2), ("2", 2)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == pytest.approx(seconds)
