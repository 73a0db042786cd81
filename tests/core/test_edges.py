"""Edges that were wrong once; each was found by reading or by a property, and stays as a claim."""

import pytest
from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.codec import CodecError, decode_events, encode_snapshot, restore
from aimass.core.decide import decide
from aimass.core.effects import effects
from aimass.core.explain import explain
from aimass.core.feasible import shards_fit
from aimass.core.model import NodeId, Placement
from aimass.core.plan import Plan, Start
from aimass.core.spec import JobSpec, Need, Role
from aimass.policies.devices import choose_devices
from aimass.policies.registry import make_policy

from tests.core.world import World, gpus, inventory, one_role


def shrunk() -> World:
    w = World()
    w.join("n1", inventory("n1", gpus("n1", 4), cpus=64))
    w.submit(one_role(cpus=32))
    w.plan()
    w.join("n1", inventory("n1", gpus("n1", 4), cpus=16))
    return w


def test_overfull_node_has_room_for_no_shard_not_for_minus_two() -> None:
    w = shrunk()
    assert shards_fit(w.cluster.nodes["n1"], Need(cpu_milli=8000), {}, 1)[0] == 0


def test_overfull_node_hides_no_room_elsewhere() -> None:
    w = shrunk()
    w.join("n2", inventory("n2", cpus=8))
    w.submit(one_role(cpus=8))
    assert len(w.plan().starts) == 1


def test_job_that_asks_nothing_of_what_is_overfull_is_accepted() -> None:
    w = shrunk()
    w.submit(one_role(gpus=1))
    plan = decide(w.cluster, w.policy)
    assert check(w.cluster, plan) == (plan, ())


@pytest.mark.parametrize(
    "data",
    [b'[["NodeSilent",{"at_ms":1,"node_id":"n1","reason":"\xff"}]]', b'[["X",' + b"[" * 100_000],
)
def test_damage_is_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_events(data)


@pytest.mark.parametrize(
    "data", [b'{"cluster_id":"\xff"}', b"[" * 100_000, b'{"x":' + b"[" * 100_000]
)
def test_damage_is_a_codec_error_snapshot(data: bytes) -> None:
    with pytest.raises(CodecError):
        restore(data)


def test_env_is_counted_in_bytes() -> None:
    spec = JobSpec("a", one_role(), env={"A": "é" * 140_000})
    assert [f for f, _ in spec.problems()] == ["env"]


def test_strict_fifo_ahead_counts_in_submit_order() -> None:
    w = World(make_policy("fifo"))
    w.join("n1", inventory("n1", gpus("n1", 2)))
    w.submit(one_role(gpus=1))
    w.plan()
    w.submit(one_role(gpus=2))
    vip = w.submit(one_role(gpus=1), priority=10)
    why = explain(w.cluster, vip, w.policy)
    assert (why.code, why.ahead) == ("BEHIND", 1)


def test_roles_that_fit_only_apart_are_not_said_to_fit() -> None:
    w = World()
    w.join("n1", inventory("n1", gpus("n1", 4)))
    four, two = Need(gpu_milli=4000), Need(gpu_milli=2000)
    job = w.submit((Role("a", 1, four, ("a",)), Role("b", 1, two, ("b",))))
    why = explain(w.cluster, job, w.policy)
    assert why.code not in ("ORDER", "BEHIND")
    assert "2 of 2" not in decide(w.cluster, w.policy).waits[0].text


def test_code_of_wait_and_why_agree() -> None:
    w = World()
    w.join("small", inventory("small", gpus("small", 4, "L4")))
    w.join("big", inventory("big", gpus("big", 2)))
    w.submit(one_role(gpus=1, gpu_types=("H100",)))
    w.plan()
    job = w.submit(one_role(gpus=2, gpu_types=("H100",)))
    assert decide(w.cluster, w.policy).waits[0].code == explain(w.cluster, job, w.policy).code


def test_never_fits_is_not_called_busy() -> None:
    w = World()
    w.join("n1", inventory("n1", gpus("n1", 8)))
    job = w.submit(one_role(2, gpus=8))
    assert explain(w.cluster, job, w.policy).code == "CLUSTER_TOO_SMALL"


def test_holders_are_those_whose_end_helps() -> None:
    w = World()
    n = w.join("n1", inventory("n1", gpus("n1", 4)))
    w.submit(one_role(gpus=1))
    w.plan()
    w.do(ev.NodeSilent, node_id=n.id, reason="x")
    job = w.submit(one_role(gpus=1))
    why = explain(w.cluster, job, w.policy)
    assert why.holders == ()
    assert why.unblock == ("when the silent nodes come back: massctl nodes",)


def test_no_shard_straddles_islands_when_it_need_not() -> None:
    n = World().join("n1", inventory("n1", gpus("n1", 6, island=3)))
    assert choose_devices(n, Need(2000), 2) == [(0, 1), (3, 4)]


def test_local_ranks_of_interleaved_placements() -> None:
    w = World()
    for name in ("n1", "n2"):
        w.join(name, inventory(name))
    job = w.submit(one_role(4, cpus=1))
    places = tuple(Placement(0, NodeId(n), (), 0, 1000, 0) for n in ("n1", "n2", "n1", "n2"))
    start = Start(job.id, 1, places, "x")
    plan = Plan(w.cluster.revision, "x", (start,))
    assert check(w.cluster, plan) == (plan, ())
    w.do(ev.PlanCommitted, basis=plan.basis, policy="x", starts=plan.starts)
    got = [a.launch.local_rank for a in effects(w.cluster, w.cluster.nodes["n1"]).assignments]
    assert got == [0, 1]


def test_why_is_the_same_after_recovery() -> None:
    w = World()
    w.join("n1", inventory("n1"))
    job = w.submit(one_role(), node_selector={"zone": "a", "arch": "x"})
    r = restore(encode_snapshot(w.cluster))
    assert explain(r, r.jobs[job.id], w.policy) == explain(w.cluster, job, w.policy)


def test_fix_names_gpu_memory_and_labels() -> None:
    w = World()
    w.join("n1", inventory("n1", gpus("n1", 1)))
    job = w.submit(one_role(gpus=1, gpu_memory_mib=10**6))
    assert "1000000" in " ".join(explain(w.cluster, job, w.policy).unblock)
    job = w.submit(one_role(gpus=1), node_selector={"zone": "c"})
    assert "zone=c" in " ".join(explain(w.cluster, job, w.policy).unblock)
