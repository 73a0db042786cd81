"""Reservations of nodes: when they are in force, for whom, and which are impossible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.events import WindowPut
from aimass.core.windows import (
    WindowSpec,
    blocked_nodes,
    first_meeting,
    next_change_ms,
    next_overlap,
    occurrences,
    window_problems,
)
from tests.core.world import World, gpus, inventory, one_role

HOUR = 3_600_000


def window(name: str = "w", start: int = 10, length: int = 2, **more: object) -> WindowSpec:
    """Hours from the start of the epoch; for ada unless told otherwise."""
    every, until = more.pop("every", 0), more.pop("until", 0)
    nodes = more.pop("nodes", ("n1",))
    people = more or {"users": ("ada",)}
    return WindowSpec(
        name,
        start * HOUR,
        length * HOUR,
        nodes,
        every_ms=every * HOUR,
        until_ms=until * HOUR,
        **people,
    )


def hours(spec: WindowSpec, start: int, end: int) -> list[tuple[int, int]]:
    return [(a // HOUR, b // HOUR) for a, b in occurrences(spec, start * HOUR, end * HOUR)]


def test_a_window_is_in_force_once_or_again_and_again() -> None:
    assert hours(window(), 0, 100) == [(10, 12)]
    assert hours(window(), 0, 10) == hours(window(), 12, 20) == []
    assert hours(window(), 11, 12) == [(10, 12)]
    daily = window(every=24, until=60)
    assert hours(daily, 0, 1000) == [(10, 12), (34, 36), (58, 60)]
    assert hours(daily, 12, 35) == [(34, 36)]
    assert next_overlap(daily, 60 * HOUR, 2**60) is None


@given(
    *(st.integers(0, 30) for _ in range(2)),
    *(st.integers(1, 12) for _ in range(2)),
    *(st.sampled_from([0, 12, 13, 18, 24]) for _ in range(2)),
)
def test_two_windows_meet_when_some_hour_is_in_both(
    a: int, b: int, la: int, lb: int, ea: int, eb: int
) -> None:
    one, other = window("a", a, la, every=ea), window("b", b, lb, every=eb)
    end = 31 + 13 * 24 * 18  # all is said once both have come round
    both = [{h for x, y in hours(spec, 0, end) for h in range(x, y)} for spec in (one, other)]
    met = both[0] & both[1]
    assert first_meeting(one, other, 0) == (min(met) * HOUR if met else None)


def test_only_those_it_is_for_may_use_its_nodes() -> None:
    world = World()
    for name in ("n1", "n2"):
        world.join(name, inventory(name, gpus(name, 1)))
    job = world.submit(one_role(gpus=1))
    now = world.cluster.now_ms // HOUR + 1
    for people, blocked in [
        ({"users": (job.user,)}, set()),
        ({"users": ("somebody-else",)}, {"n1"}),
        ({"queues": ("default",)}, set()),
        ({"queues": ("root",)}, set()),  # default lies below it
        ({"maintenance": True}, {"n1"}),
    ]:
        world.do(WindowPut, spec=window(start=now, **people))
        at = (world.cluster, job)
        assert blocked_nodes(*at, now * HOUR, (now + 1) * HOUR) == blocked
        assert blocked_nodes(*at, 0, now * HOUR) == set()
        assert next_change_ms(world.cluster) == now * HOUR


def test_without_windows_nothing_is_blocked() -> None:
    world = World()
    assert blocked_nodes(world.cluster, world.submit(one_role(gpus=1)), 0, 2**60) == set()
    assert next_change_ms(world.cluster) == 0


@pytest.mark.parametrize(
    ("wrong", "field", "fix"),
    [
        ({"name": "a b"}, "name", "letters"),
        ({"nodes": ("n9",)}, "nodes", "massctl nodes"),
        ({"nodes": ()}, "nodes", "1 to"),
        ({"nodes": ("n1", "n1")}, "nodes", "once"),
        ({"length": 0}, "length_ms", "1 ms to"),
        ({"every": 1, "length": 2}, "length_ms", "at most"),
        ({"until": 50}, "until_ms", "--every"),
        ({"every": 24, "until": 1}, "until_ms", "not after"),
        ({"maintenance": True, "users": ("ada",)}, "maintenance", "leave out"),
        ({"users": ()}, "users", "maintenance"),
        ({"queues": ("nope",)}, "queues", "massctl queue ls"),
        ({"start": -9}, "start_ms", "time to come"),
        ({"start": 9, "users": ("bob",)}, "start_ms", "massctl reserve rm taken"),
    ],
)
def test_what_cannot_be_is_refused_with_a_fix(
    wrong: dict[str, object], field: str, fix: str
) -> None:
    world = World()
    world.wait(20 * HOUR)
    world.join("n1", inventory("n1", gpus("n1", 1)))
    now = world.cluster.now_ms // HOUR + 1
    world.do(WindowPut, spec=window("taken", start=now + 10))
    given_start = wrong.pop("start", 5)
    if wrong.get("until"):
        wrong["until"] += now
    spec = window(**{"start": now + given_start, **wrong})
    problems = window_problems(world.cluster, spec, world.now_ms)
    assert [name for name, _ in problems] == [field]
    assert fix in problems[0][1]


def test_the_same_people_may_overlap_and_a_window_replaces_itself() -> None:
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 1)))
    now = world.cluster.now_ms // HOUR + 1
    world.do(WindowPut, spec=window("a", start=now))
    assert window_problems(world.cluster, window("b", start=now), world.now_ms) == []
    assert (
        window_problems(world.cluster, window("a", start=now + 1, users=("bob",)), world.now_ms)
        == []
    )
