"""`why` says what is so: what it calls a reason is one, and what it calls a fix would help."""

import pytest

from aimass.core import events as ev
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.decide import decide
from aimass.core.explain import Explanation, describe_need, explain
from aimass.core.feasible import shards_fit, shards_when_empty
from aimass.core.model import Job
from aimass.core.queues import QueueSpec
from aimass.core.spec import Elastic, Need, Preemption, PreemptMode, Role
from aimass.core.windows import WindowSpec
from aimass.policies.registry import make_policy
from tests.core.queue_world import queue_world
from tests.core.world import World, codes, gpus, inventory, one_role

HOUR = 3_600_000


def why(world: World, job: Job) -> Explanation:
    """Why the job is where it is."""
    return explain(world.cluster, job, world.policy)


def test_a_decision_and_its_explanation_name_the_same_reason() -> None:
    """One node is of the wrong kind, one is busy: waiting helps, so busy is the reason."""
    world = World()
    world.join("small", inventory("small", gpus("small", 4, "L4")))
    world.join("big", inventory("big", gpus("big", 2)))
    world.submit(one_role(gpus=1, gpu_types=("H100",)))
    world.plan()
    job = world.submit(one_role(gpus=2, gpu_types=("H100",)))
    plan = decide(world.cluster, world.policy)
    assert [why(world, job).code] == codes(world, plan) == ["GPUS_BUSY"]


def test_who_is_ahead_is_counted_in_the_policys_order() -> None:
    """By submission under fifo, by priority under priority."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    jobs = [world.submit(one_role(gpus=4), priority=p) for p in (0, 5, 0, -5, 5)]
    for order, expected in (("fifo", [0, 1, 2, 3, 4]), ("priority", [2, 0, 3, 4, 1])):
        world.policy = make_policy(order)
        assert [why(world, job).ahead for job in jobs] == expected


def test_what_protects_those_that_it_could_stop_is_named_with_counts_and_until_when() -> None:
    """The first of each kind to be free is said; who is not its to stop is not in it."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    young = [
        world.submit(one_role(gpus=1), preemption=Preemption(min_runtime_ms=minutes * 60_000))
        for minutes in (20, 10)
    ]
    firm = [world.submit(one_role(gpus=1), preemptible=False, walltime_ms=HOUR) for _ in "123"]
    shrinks = Elastic(1, 2), Preemption(PreemptMode.SHRINK)
    world.submit(one_role(gpus=1, elastic=shrinks[0]), preemption=shrinks[1])
    equal = world.submit(one_role(gpus=1), priority=5)
    free = world.submit(one_role(gpus=1))
    world.plan()
    for job in [*world.cluster.jobs.values()]:
        world.start(job)
    high = world.submit(one_role(gpus=8), priority=5)
    texts = {b.code: b.text for b in why(world, high).blockers}
    assert texts["MIN_RUNTIME"] == (
        f"2 jobs that it could stop are protected by a minimum run time: {young[1].id}, "
        f"{young[0].id}; the first for another 9 min 53 s"
    )
    assert texts["NOT_PREEMPTIBLE"].startswith("3 jobs that it could stop are protected as not ")
    assert texts["NOT_PREEMPTIBLE"].endswith(f"{firm[2].id}; the first ends in 59 min 54 s")
    assert texts["EXTRAS_ONLY"].endswith("only extras are given up: j6; nobody knows until when")
    assert "PREEMPT_BUDGET" not in texts
    named = " ".join(texts[code] for code in ("MIN_RUNTIME", "NOT_PREEMPTIBLE", "EXTRAS_ONLY"))
    assert equal.id not in named
    assert free.id not in named


def test_a_job_that_never_fits_is_not_called_busy() -> None:
    """Every node is of the right kind, but there are too few."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    found = why(world, world.submit(one_role(2, gpus=8)))
    assert (found.code, found.fits_when_empty, found.shards_fit_now) == (
        "CLUSTER_TOO_SMALL",
        False,
        1,
    )


def test_roles_that_fit_only_apart_are_not_said_to_fit() -> None:
    """Nobody is ahead of it, and nobody's end would help."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    each = [Role(name, 1, Need(count * 1000), ("train",)) for name, count in (("a", 4), ("b", 2))]
    found = why(world, world.submit(tuple(each)))
    assert (found.code, found.ahead, found.holders) == ("ROLES_TOGETHER", 0, ())


def test_only_those_whose_end_would_help_are_named_as_holders() -> None:
    """What runs on a silent node is not in the way."""
    world = World()
    node = world.join("n1", inventory("n1", gpus("n1", 4)))
    world.submit(one_role(gpus=1))
    world.plan()
    world.do(ev.NodeSilent, node_id=node.id, reason="no heartbeat")
    found = why(world, world.submit(one_role(gpus=1)))
    assert found.holders == ()
    assert found.unblock == ("when the silent nodes come back: massctl nodes",)


def test_the_explanation_survives_recovery_word_by_word() -> None:
    """Also when the user wrote the labels in another order than a snapshot keeps them."""
    world = World()
    world.join("n1", inventory("n1"))
    job = world.submit(one_role(), node_selector={"zone": "a", "arch": "arm"})
    again = restore(encode_snapshot(world.cluster))
    assert explain(again, again.jobs[job.id], world.policy) == why(world, job)


@pytest.mark.parametrize(
    ("need", "text"),
    [
        (Need(), "nothing"),
        (Need(250), "0.25 GPU"),
        (Need(2000, gpu_types=("H100", "A100")), "2 GPU H100 or A100"),
        (Need(1000, gpu_memory_mib=40_960), "1 GPU of 40960 MiB"),
        (Need(1000, 1500, 512), "1 GPU, 1.5 CPU, 512 MiB"),
    ],
)
def test_a_need_in_words_leaves_nothing_out(need: Need, text: str) -> None:
    """A fix that says `a node that can hold this` must say all of this."""
    assert describe_need(need) == text


@pytest.mark.parametrize(
    ("need", "now", "empty"),
    [
        (Need(), 9, 9),
        (Need(1000), 2, 4),
        (Need(2000), 1, 2),
        (Need(250), 9, 9),
        (Need(400), 5, 8),
        (Need(1000, cpu_milli=20_000), 2, 3),
        (Need(cpu_milli=20_000), 2, 3),
        (Need(memory_mib=300), 2, 3),
        (Need(5000), 0, 0),
    ],
)
def test_a_node_fits_so_many_shards_now_and_so_many_when_idle(
    need: Need, now: int, empty: int
) -> None:
    """Of its 4 GPUs, 64 CPUs and 1000 MiB, 1.5 GPUs, 20 CPUs and 400 MiB are held."""
    world = World()
    node = world.join("n1", inventory("n1", gpus("n1", 4), memory_mib=1000))
    world.submit(one_role(gpus=1, cpus=20, memory_mib=400))
    world.submit(one_role(gpus=0.5))
    world.plan()
    asking = world.submit(one_role())
    fits, refusal = shards_fit(node, asking, need, 9)
    assert (fits, refusal is None) == (now, now == 9)
    assert min(9, shards_when_empty(node, asking, need)) == empty


def test_an_overfull_node_has_room_for_nothing_rather_than_for_less() -> None:
    """It came back with fewer CPUs than its shards hold."""
    world = World()
    world.join("n1", inventory("n1", cpus=64, memory_mib=1000))
    world.submit(one_role(cpus=32, memory_mib=900))
    world.plan()
    node = world.join("n1", inventory("n1", cpus=16, memory_mib=500))
    asking = world.submit(one_role())
    for need in (Need(cpu_milli=8000), Need(memory_mib=100)):
        assert shards_fit(node, asking, need, 2)[0] == 0


def test_an_elastic_job_is_possible_when_its_smallest_size_is() -> None:
    """It asks for four shards and starts with two: the cluster of three is busy, not too small."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 3)))
    world.submit(one_role(gpus=2))
    world.plan()
    job = world.submit(one_role(4, gpus=1, elastic=Elastic(2, 8)))
    world.plan()
    found = why(world, job)
    assert (found.code, found.fits_when_empty) == ("GPUS_BUSY", True)
    (change, _) = found.changes
    assert (change.kind, change.command) == ("SHARDS", f"massctl update {job.id} --elastic 1-8:1")


def test_why_looks_at_the_time_it_is_and_leaves_the_state_as_it_was() -> None:
    """A minimum run time passes and losses grow while nothing happens in the cluster."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    rules = Preemption(min_runtime_ms=HOUR)
    first = world.submit(one_role(gpus=4), preemption=rules, walltime_ms=10 * HOUR)
    world.settle()
    world.start(first)
    job = world.submit(one_role(gpus=4))
    world.plan()
    before, then_ms = state_hash(world.cluster), world.cluster.now_ms
    found = explain(world.cluster, job, world.policy, then_ms)
    assert not [change for change in found.changes if change.kind == "PRIORITY"]
    found = explain(world.cluster, job, world.policy, then_ms + 2 * HOUR)
    (change,) = (change for change in found.changes if change.kind == "PRIORITY")
    assert change.stops[0].lost_gpu_ms >= 4 * 2 * HOUR
    assert (state_hash(world.cluster), world.cluster.now_ms) == (before, then_ms)


def test_a_reservation_is_a_reason_only_on_nodes_that_the_job_could_use() -> None:
    """And not for a job that may be stopped when the reservation begins."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    world.join("small", inventory("small", gpus("small", 4, "L4")))
    world.do(ev.WindowPut, spec=WindowSpec("w", 5 * HOUR, HOUR, ("small",), users=("eve",)))
    world.submit(one_role(gpus=4, gpu_types=("H100",)))
    asked = {"roles": one_role(gpus=4, gpu_types=("H100",)), "preemptible": False}
    job = world.submit(**asked)
    world.settle()
    found = why(world, job)
    assert (found.code, [b.code for b in found.blockers if not b.nodes]) == ("GPUS_BUSY", [])
    assert "WINDOW" not in {blocker.code for blocker in found.blockers}
    world.do(ev.WindowPut, spec=WindowSpec("w", 5 * HOUR, HOUR, ("n1",), users=("eve",)))
    world.settle()
    blocked = world.submit(**asked)
    free = world.submit(**{**asked, "preemptible": True})
    codes_of = [{b.code for b in why(world, j).blockers} for j in (blocked, free)]
    assert ["WINDOW" in codes for codes in codes_of] == [True, False]


def in_queue(world: World, queue: str, gpus: int, shards: int = 1, **fields: bool) -> Job:
    """Submit to the queue and decide."""
    job = world.submit(one_role(shards, gpus=gpus), queue=queue, **fields)
    world.plan()
    return job


def test_firm_jobs_of_other_queues_are_named_where_their_end_would_help() -> None:
    """The lab guarantees 2 beyond what its queues have: b uses these, c and the other do not."""
    lab = {"lab": "root", "a": "lab", "b": "lab", "c": "lab", "other": "root"}
    quotas = [QueueSpec(name, above, quota={"gpu": 2000}) for name, above in lab.items()]
    world = queue_world(*quotas)
    own, _, theirs, _ = (
        in_queue(world, queue, gpus, preemptible=False)
        for queue, gpus in (("a", 1), ("c", 2), ("b", 4), ("other", 2))
    )
    found = why(world, in_queue(world, "a", 2, preemptible=False))
    assert found.code == "QUOTA_FIRM"
    assert [holder.job_id for holder in found.holders] == [own.id, theirs.id]


def test_a_firm_job_of_a_queue_that_gives_back_is_named_as_protected() -> None:
    """What its queue has borrowed can be taken back; what this one holds cannot."""
    world = queue_world(QueueSpec("a", quota={"gpu": 16_000}), QueueSpec("b", quota={"gpu": 4_000}))
    firm = in_queue(world, "b", 4, preemptible=False)
    in_queue(world, "b", 8)
    found = why(world, in_queue(world, "a", 8, shards=2))
    protected = {b.code: b.text for b in found.blockers}["NOT_PREEMPTIBLE"]
    assert protected.endswith(f"as not preemptible: {firm.id}; nobody knows until when")
