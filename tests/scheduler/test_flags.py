"""What massd's flags may say."""

import click
import pytest
from click.testing import CliRunner

from aimass.policies.registry import ORDERS
from aimass.scheduler.flags import GPU_HOURS_MAX, Duration, GpuHours, refuse_idle_moves
from aimass.scheduler.main import command


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


@pytest.mark.parametrize("order", ["fifo", "fifo-skip", "srtf", "srtf-gpu", "las"])
def test_moves_are_refused_where_nobody_is_promised_a_start(order: str) -> None:
    """Nobody would be moved, and nothing said so."""
    shown = CliRunner().invoke(command, ["--order", order, "--moves", "4"])
    assert shown.exit_code == 2
    assert f"with --order {order} nobody is. Fix: leave out --moves" in " ".join(
        shown.output.split()
    )
    refuse_idle_moves(order, 8, 0)


def test_the_fix_names_the_orders_that_go_with_moves() -> None:
    with pytest.raises(click.UsageError, match="an order that does: ") as raised:
        refuse_idle_moves("las", 8, 4)
    named = str(raised.value).partition("does: ")[2].split(", ")
    assert set(named) == set(ORDERS) - {"fifo", "fifo-skip", "srtf", "srtf-gpu", "las"}
    for order in named:
        refuse_idle_moves(order, 8, 4)
        with pytest.raises(click.UsageError, match="leave out --moves, or --promises 0"):
            refuse_idle_moves(order, 0, 4)
