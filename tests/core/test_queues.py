"""The tree of queues: what it is derived from, decayed history, problems, warnings, admission."""

from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core import events as ev
from aimass.core.codec import encode_snapshot, restore
from aimass.core.decay import BITS, LN2, ONE, POWERS, average, fade, remainder
from aimass.core.queue_problems import (
    admission_problem,
    delete_problem,
    queue_problems,
    queue_warnings,
)
from aimass.core.queues import (
    Queue,
    QueueSpec,
    history_at,
    link,
    new_queues,
    settle,
    settle_row,
)
from aimass.core.spec import Array, Elastic, JobSpec, Need, Role
from tests.core.queue_world import queue_world
from tests.core.world import one_role

HOUR_MS = 3_600_000
IDLE = (0, 0, 0)  # no GPUs, CPU, memory


# ---- decay --------------------------------------------------------------------------------------


def test_the_table_is_what_it_says() -> None:
    """Every literal and computed power is right to the last bit but one."""
    getcontext().prec = 50
    assert abs(Decimal(2).ln() * ONE - LN2) <= 1
    for step, power in enumerate(POWERS):
        assert abs(Decimal(2) ** (Decimal(-step) / 1024) * ONE - power) <= 1


@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_remainders_are_exact_to_a_few_bits(span_ms: int, half_life_ms: int) -> None:
    """Whatever the span: within 4 units of 2^-64."""
    getcontext().prec = 60
    exact = Decimal(2) ** (-Decimal(span_ms) / half_life_ms) * ONE
    assert abs(exact - remainder(span_ms, half_life_ms)) <= 4


@given(
    st.integers(0, 10**15),
    st.integers(0, 10**7),
    st.lists(st.integers(0, 10**7), min_size=1, max_size=50),
    st.sampled_from((1000, HOUR_MS, 7 * 24 * HOUR_MS)),
)
def test_many_small_steps_give_what_one_large_step_gives(
    history: int, rate: int, spans: list[int], half_life_ms: int
) -> None:
    """Up to rounding: at most two units for every step."""
    begun, rates = (history, 0, 3 * history), (rate, 0, 2 * rate)
    stepped = begun
    for span_ms in spans:
        stepped = fade(stepped, rates, span_ms, half_life_ms)
    at_once = fade(begun, rates, sum(spans), half_life_ms)
    for one, other in zip(stepped, at_once, strict=True):
        assert abs(one - other) <= 2 * len(spans) + 2


def test_a_half_life_halves_and_steady_use_is_its_own_average() -> None:
    """After a half-life half is left; a use that lasted long averages to itself."""
    assert fade((1000, 0, 6), IDLE, HOUR_MS, HOUR_MS) == (500, 0, 3)
    assert fade((1000, 0, 6), (5, 5, 5), HOUR_MS, 0) == IDLE
    assert remainder(64 * HOUR_MS, HOUR_MS) == 0
    assert average(fade(IDLE, (8000, 0, 0), 60 * HOUR_MS, HOUR_MS)[0], HOUR_MS) in (7999, 8000)
    assert BITS == 64


def test_a_queue_remembers_what_its_jobs_used() -> None:
    """History grows while a job runs, halves afterwards, and survives a snapshot."""
    world = queue_world(QueueSpec("root", parent="", half_life_ms=10_000), QueueSpec("a"))
    job = world.submit(one_role(gpus=2), queue="a")
    world.plan()
    began_ms = world.cluster.now_ms
    world.start(job)
    queue = world.cluster.queues["a"]
    grown = history_at(queue, began_ms + 1000, 10_000)["gpu"]
    assert grown == fade(IDLE, (2000, 0, 0), 1000, 10_000)[0]
    world.exit(job)
    ended_ms = world.cluster.now_ms
    peak = history_at(queue, ended_ms, 10_000)["gpu"]
    assert peak == fade(IDLE, (2000, 0, 0), ended_ms - began_ms, 10_000)[0]
    assert abs(history_at(queue, ended_ms + 10_000, 10_000)["gpu"] - peak // 2) <= 1
    assert world.cluster.queues["default"].history == IDLE
    again = restore(encode_snapshot(world.cluster))
    assert history_at(again.queues["a"], ended_ms, 10_000)["gpu"] == peak
    world.do(ev.QueuePut, spec=QueueSpec("root", parent="", half_life_ms=0))
    world.submit(one_role(gpus=2), queue="a")
    world.plan()
    assert history_at(queue, world.cluster.now_ms, 0) == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(("a", "b", "c")), st.integers(0, 9), st.integers(0, 10**6)),
        min_size=1,
        max_size=30,
    )
)
def test_a_chain_is_settled_as_its_queues_are_one_by_one(steps: list[tuple[str, int, int]]) -> None:
    """Also where a queue has a parent for itself, and they share what is worked out."""
    twins = [{**new_queues()}, {**new_queues()}]
    for queues in twins:
        for name, parent in (("a", "root"), ("b", "a"), ("c", "root")):
            queues[name] = Queue(QueueSpec(name, parent=parent))
        link(queues)
    together, alone = twins
    now_ms = 0
    for name, gpus, span_ms in steps:
        now_ms += span_ms
        for queues in twins:
            for queue in queues[name].tree.chain:
                queue.used["gpu"] += 1000 * gpus
                queue.used["cpu"] += gpus
        settle(together, name, now_ms)
        for queue in alone[name].tree.chain:
            settle_row(queue, now_ms, alone["root"].spec.half_life_ms)
        for name, queue in together.items():
            other = alone[name]
            assert (queue.history, queue.steady) == (other.history, other.steady)
            assert queue.settled_ms == other.settled_ms


# ---- what an operator may say -------------------------------------------------------------------

BAD = [
    (QueueSpec("../x"), "name"),
    (QueueSpec("x", parent="nowhere"), "parent"),
    (QueueSpec("x", weight=0), "weight"),
    (QueueSpec("x", weight=-1), "weight"),
    (QueueSpec("x", quota={"gpu": -1}), "quota.gpu"),
    (QueueSpec("x", quota={"tpu": 1}), "quota.tpu"),
    (QueueSpec("x", quota={"gpu:": 1}), "quota.gpu:"),
    (QueueSpec("x", quota={"gpu": 4000}, limit={"gpu": 2000}), "limit.gpu"),
    (QueueSpec("x", quota={"gpu": 4000}, lend_limit={"gpu": 5000}), "lend_limit.gpu"),
    (QueueSpec("x", quota={"gpu": 1000, "gpu:H100": 2000}), "quota.gpu"),
    (QueueSpec("x", priority_min=2, priority_max=1), "priority_min"),
    (QueueSpec("x", max_jobs=-1), "max_jobs"),
    (QueueSpec("x", half_life_ms=-1), "half_life_ms"),
    (QueueSpec("a", parent="b"), "parent"),  # b is below a
    (QueueSpec("a", parent="a"), "parent"),
    (QueueSpec("root", parent="a"), "parent"),
    (QueueSpec("default", parent="a"), "parent"),
    (QueueSpec("root", parent="", lend_limit={"gpu": 1}), "lend_limit"),
    (QueueSpec("x", parent="a", quota={"gpu": 9000}), "quota.gpu"),  # a's limit is 8
    (QueueSpec("a", limit={"gpu": 1000}), "limit.gpu"),  # b is guaranteed 2
]


@pytest.mark.parametrize(("spec", "field"), BAD, ids=lambda value: str(value)[:40])
def test_impossible_queues_are_refused(spec: QueueSpec, field: str) -> None:
    """With the field that is wrong."""
    tree = (QueueSpec("a", limit={"gpu": 8000}), QueueSpec("b", "a", quota={"gpu": 2000}))
    cluster = queue_world(*tree).cluster
    found = list(queue_problems(cluster, spec))
    assert field in [name for name, _ in found], found
    assert all(text for _, text in found)


def test_sensible_queues_are_not_refused_and_may_move_while_empty() -> None:
    """A queue without jobs may move, with those below it; one with jobs stays."""
    world = queue_world(QueueSpec("a"), QueueSpec("b", "a", quota={"gpu": 2000}), QueueSpec("c"))
    moved = QueueSpec("b", "c", quota={"gpu": 2000})
    assert list(queue_problems(world.cluster, moved)) == []
    world.do(ev.QueuePut, spec=moved)
    assert world.cluster.queues["c"].tree.guarantee == {"gpu": 2000}
    assert world.cluster.queues["a"].tree.guarantee == {}
    world.submit(one_role(), queue="b")
    fields = [field for field, _ in queue_problems(world.cluster, QueueSpec("b", "a"))]
    assert fields == ["parent"]


def test_depth_and_number_are_bounded() -> None:
    """Eight queues from root down."""
    tree = [QueueSpec(f"q{i}", f"q{i - 1}" if i else "root") for i in range(7)]
    cluster = queue_world(*tree).cluster
    assert [f for f, _ in queue_problems(cluster, QueueSpec("deep", "q6"))] == ["parent"]
    assert list(queue_problems(cluster, QueueSpec("flat", "q5"))) == []
    assert [f for f, _ in queue_problems(cluster, QueueSpec("q0", "default"))] == ["parent"]


def test_quota_above_capacity_is_allowed_and_said() -> None:
    """With figures; together as well as alone."""
    cluster = queue_world(QueueSpec("a", quota={"gpu": 12_000})).cluster  # of 16
    assert queue_warnings(cluster, QueueSpec("b", quota={"gpu": 4000})) == []
    (text,) = queue_warnings(cluster, QueueSpec("b", quota={"gpu": 5000}))
    assert "17 GPUs" in text
    assert "16 GPUs" in text
    assert len(queue_warnings(cluster, QueueSpec("b", quota={"gpu:A100": 5000}))) == 2


def test_only_empty_queues_go() -> None:
    """Not root, not default, no queue with children or jobs."""
    world = queue_world(QueueSpec("a"), QueueSpec("b", "a"))
    cluster = world.cluster
    assert delete_problem(cluster, "root")
    assert delete_problem(cluster, "default")
    assert "b" in delete_problem(cluster, "a")
    assert delete_problem(cluster, "b") == ""
    world.submit(one_role(), queue="b")
    assert "1 waiting" in delete_problem(cluster, "b")


# ---- what a queue takes -------------------------------------------------------------------------


def test_jobs_that_a_queue_never_takes() -> None:
    """Each with a reason that names the queue and the figures; a parent's rules count too."""
    rules = QueueSpec(
        "a", job_limit={"gpu": 4000}, max_walltime_ms=1000, priority_max=5, max_queued=2
    )
    world = queue_world(rules, QueueSpec("team", "a"))
    cluster = world.cluster

    def problem(count: float = 1, shards: int = 1, **fields: object) -> str:
        given = {"queue": "team", "walltime_ms": 1000} | fields
        return admission_problem(cluster, JobSpec("j", one_role(shards, count), **given))

    assert problem() == ""
    assert "did you mean team" in problem(queue="teem")
    assert "4 GPUs" in problem(1, 5)
    assert "1 s" in problem(walltime_ms=0)
    assert "1 s" in problem(walltime_ms=2000)
    assert "priorities" in problem(priority=6)
    assert "may wait" in problem(array=Array((1, 2, 3)))
    world.submit(one_role(gpus=1), queue="team", walltime_ms=1000)
    waiting = world.submit(one_role(gpus=1), queue="team", walltime_ms=1000)
    assert "may wait" in problem()
    assert admission_problem(cluster, waiting.spec, waiting) == ""
    elastic = Role("w", 8, Need(gpu_milli=1000), ("x",), Elastic(2, 8))
    spec = JobSpec("j", (elastic,), queue="team", walltime_ms=1000)
    assert admission_problem(cluster, spec, waiting) == ""
