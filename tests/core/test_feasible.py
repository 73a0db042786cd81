"""Feasibility: every rule about a node has its code, and a text with the figures behind it."""

from dataclasses import replace

import pytest

from aimass.core import capacity
from aimass.core.cluster import Cluster
from aimass.core.codes import Code, Kind
from aimass.core.feasible import (
    device_has_room,
    is_tolerated,
    node_refusal,
    shards_fit,
    shards_when_empty,
)
from aimass.core.model import (
    Device,
    HoldKey,
    Job,
    JobId,
    Node,
    NodeId,
    NodeState,
    placement_of,
)
from aimass.core.spec import JobSpec, LabelOp, LabelRule, Need, Role
from tests.core.world import GIB, gpus, inventory

GPU = Need(1000)


def a_cluster(**changes: object) -> tuple[Cluster, Node]:
    """One node n1 in zone a: 4 H100 of 80 GiB, 8 CPUs, 64 GiB, changed as told."""
    reported = inventory("n1", gpus("n1", 4), cpus=8, memory_mib=64 * GIB, labels={"zone": "a"})
    cluster = Cluster()
    node = Node(NodeId("n1"), 0, reported, "boot", 1, "", NodeState.READY, 0)
    node.inventory = replace(reported, **changes)  # type: ignore[arg-type]
    node.devices = [Device(spec) for spec in node.inventory.devices]
    cluster.nodes[node.id] = node
    cluster.index.put(node)
    return cluster, node


def a_job(name: str = "j1", need: Need = GPU, **fields: object) -> Job:
    """A queued job of one role."""
    spec = JobSpec("job", (Role("main", 1, need, ("x",)),), **fields)  # type: ignore[arg-type]
    return Job(JobId(name), int(name[1:]), spec, "ann", "", 0)


def hold(cluster: Cluster, job: Job, node: Node, device: int, *, claims: bool = False) -> HoldKey:
    """The job holds (or claims) a GPU, or its share of it."""
    key, need = HoldKey(job.id, 1, device), job.spec.roles[0].need
    placement = placement_of(node, 0, (device,), need, job.spec.exclusive_node)
    (capacity.claim if claims else capacity.hold)(cluster, job, node, key, placement)
    return key


def zone(op: LabelOp, *values: str, key: str = "zone") -> tuple[LabelRule, ...]:
    """One required rule."""
    return (LabelRule(key, op, values),)


@pytest.mark.parametrize(
    ("job", "code", "text"),
    [
        (
            a_job(node_selector={"zone": "b"}),
            Code.LABELS_DIFFER,
            "has zone=a, the job selects zone=b",
        ),
        (
            a_job(node_selector={"rack": "1"}),
            Code.LABELS_DIFFER,
            "has no label rack, the job selects rack=1",
        ),
        (
            a_job(affinity=zone(LabelOp.IN, "b", "c")),
            Code.AFFINITY,
            "has zone=a, the job asks zone in (b, c)",
        ),
        (
            a_job(affinity=zone(LabelOp.NOT_IN, "a")),
            Code.AFFINITY,
            "has zone=a, the job asks zone not in (a)",
        ),
        (
            a_job(affinity=zone(LabelOp.EXISTS, key="ssd")),
            Code.AFFINITY,
            "has no label ssd, the job asks a label ssd",
        ),
        (
            a_job(affinity=zone(LabelOp.ABSENT)),
            Code.AFFINITY,
            "has zone=a, the job asks no label zone",
        ),
        (a_job(exclude_nodes=("n1",)), Code.EXCLUDED_NODE, "the job excludes this node"),
        (
            a_job(need=Need(1000, gpu_types=("A100", "L40S"))),
            Code.WRONG_GPU_TYPE,
            "has H100, the job asks A100 or L40S",
        ),
        (
            a_job(need=Need(1000, gpu_memory_mib=90 * GIB)),
            Code.GPU_MEMORY_SMALL,
            "GPUs of 81920 MiB, the job asks 92160 MiB",
        ),
        (
            a_job(need=Need(gpu_share_mib=90 * GIB)),
            Code.GPU_MEMORY_SMALL,
            "GPUs of 81920 MiB, the job asks 92160 MiB",
        ),
        (
            a_job(need=Need(5000)),
            Code.GPUS_TOO_FEW,
            "4 suitable GPUs in all, a shard needs 5",
        ),
        (
            a_job(need=Need(cpu_milli=8500)),
            Code.CPU_TOO_SMALL,
            "8 CPUs in all, a shard needs 8.5 CPUs",
        ),
        (
            a_job(need=Need(memory_mib=65 * GIB)),
            Code.MEMORY_TOO_SMALL,
            "65536 MiB in all, a shard needs 66560 MiB",
        ),
    ],
)
def test_what_the_node_is_refuses_for_good(job: Job, code: Code, text: str) -> None:
    """Waiting cannot help, and an idle node would not either."""
    _, node = a_cluster()
    need = job.spec.roles[0].need
    refusal = node_refusal(node, job, need)
    assert refusal is not None
    assert (refusal.code, refusal.text) == (code, text)
    assert shards_fit(node, job, need, 1) == (0, refusal)
    assert shards_when_empty(node, job, need) == 0
    assert code.kind is Kind.CONFIG
    assert not code.is_transient


def test_a_preference_refuses_nothing() -> None:
    """A rule with a weight is no requirement."""
    _, node = a_cluster()
    rule = LabelRule("zone", LabelOp.IN, ("b",), weight=3)
    assert shards_fit(node, a_job(affinity=(rule,)), GPU, 4) == (4, None)


@pytest.mark.parametrize(
    ("tolerations", "fits"),
    [((), False), (("team",), True), (("team=a",), True), (("team=b",), False), (("tea",), False)],
)
def test_a_taint_is_tolerated_by_its_text_or_its_key(
    tolerations: tuple[str, ...], fits: bool
) -> None:
    """A bare key tolerates every value; a taint without value is its own key."""
    _, node = a_cluster(taints=("team=a",))
    refusal = node_refusal(node, a_job(tolerations=tolerations), GPU)
    assert (refusal is None) == fits
    if refusal is not None:
        assert refusal.text == "tainted team=a, which the job does not tolerate"
    assert is_tolerated("gone", ("gone",))
    assert not is_tolerated("gone", ("gone=x",))


def test_a_retry_rule_keeps_the_job_off_a_node() -> None:
    """Other jobs go there still."""
    _, node = a_cluster()
    job = a_job()
    job.avoid = (node.id,)
    refusal = node_refusal(node, job, GPU)
    assert refusal is not None
    assert refusal.code is Code.AVOIDED_NODE
    assert refusal.code.kind is Kind.POLICY
    assert node_refusal(node, a_job(), GPU) is None


@pytest.mark.parametrize(
    ("state", "cordon", "code", "text"),
    [
        (NodeState.SUSPECT, "", Code.NODE_SUSPECT, "silent"),
        (NodeState.LOST, "", Code.NODE_LOST, "lost"),
        (NodeState.READY, "cordoned by ann: fan", Code.NODE_CORDONED, "cordoned by ann: fan"),
    ],
)
def test_the_state_of_a_node_refuses_for_now(
    state: NodeState, cordon: str, code: Code, text: str
) -> None:
    """It would fit when the node is back."""
    _, node = a_cluster()
    node.state, node.cordon = state, cordon
    fits, refusal = shards_fit(node, a_job(), GPU, 1)
    assert fits == 0
    assert refusal is not None
    assert (refusal.code, refusal.text) == (code, text)
    assert refusal.code.is_transient
    assert shards_when_empty(node, a_job(), GPU) == 4


def test_what_is_held_refuses_until_it_ends() -> None:
    """Leaving and claimed shares count for what can be claimed, not for what can be held."""
    cluster, node = a_cluster()
    keys = [hold(cluster, a_job("j2"), node, device) for device in range(3)]
    fits, refusal = shards_fit(node, a_job(), GPU, 2)
    assert fits == 1
    assert refusal is not None
    assert (refusal.code, refusal.text) == (Code.GPUS_BUSY, "1 of 4 GPUs free, a shard needs 1")
    capacity.leave(cluster, a_job("j2"), node, keys[0])
    assert shards_fit(node, a_job(), GPU, 9)[0] == 1
    assert shards_fit(node, a_job(), GPU, 9, is_soon=True)[0] == 2
    hold(cluster, a_job("j3"), node, 0, claims=True)
    assert shards_fit(node, a_job(), GPU, 9, is_soon=True)[0] == 1
    assert device_has_room(node.devices[3], GPU)
    assert not device_has_room(node.devices[0], GPU, is_soon=True)


def test_shares_count_by_milli_and_by_memory() -> None:
    """A share by memory is rounded up on each device."""
    cluster, node = a_cluster()
    hold(cluster, a_job("j2", Need(300)), node, 0)
    assert shards_fit(node, a_job(), Need(400), 99)[0] == 1 + 3 * 2
    # 30 GiB of 80 are 375 of 1000: one beside 300 held, two on each of the others.
    assert shards_fit(node, a_job(), Need(gpu_share_mib=30 * GIB), 99)[0] == 1 + 3 * 2
    for device in range(1, 4):
        hold(cluster, a_job("j3", Need(900)), node, device)
    fits, refusal = shards_fit(node, a_job(), Need(gpu_share_mib=60 * GIB), 1)
    assert fits == 0
    assert refusal is not None
    assert refusal.text == "at most 0.7 of a GPU free, a shard needs 61440 MiB of one"


def test_a_job_that_wants_a_node_for_itself_waits_for_the_others() -> None:
    """Soon, those who are leaving do not count; those who claim do."""
    cluster, node = a_cluster()
    other, job = a_job("j2"), a_job(exclusive_node=True)
    key = hold(cluster, other, node, 0)
    fits, refusal = shards_fit(node, job, GPU, 1)
    assert fits == 0
    assert refusal is not None
    assert (refusal.code, refusal.text) == (
        Code.NODE_SHARED,
        "j2 on it, the job wants the node for itself",
    )
    capacity.leave(cluster, other, node, key)
    assert shards_fit(node, job, GPU, 1)[0] == 0
    assert shards_fit(node, job, GPU, 1, is_soon=True)[0] == 1
    hold(cluster, a_job("j3"), node, 1, claims=True)
    assert shards_fit(node, job, GPU, 1, is_soon=True)[0] == 0


def test_a_node_that_a_job_has_for_itself_takes_nobody_else() -> None:
    """Its own shards it does; and others when it is leaving."""
    cluster, node = a_cluster()
    owner, job = a_job("j2", exclusive_node=True), a_job()
    key = hold(cluster, owner, node, 0)
    fits, refusal = shards_fit(node, job, GPU, 1)
    assert fits == 0
    assert refusal is not None
    assert (refusal.code, refusal.text) == (Code.NODE_EXCLUSIVE, "j2 has the node for itself")
    assert shards_fit(node, owner, GPU, 9)[0] == 3
    capacity.leave(cluster, owner, node, key)
    assert shards_fit(node, job, GPU, 9, is_soon=True)[0] == 4
    hold(cluster, a_job("j4", exclusive_node=True), node, 1, claims=True)
    assert shards_fit(node, job, GPU, 1, is_soon=True)[0] == 0


def test_failed_devices_refuse_while_they_are_failed() -> None:
    """An idle node with healthy devices would do."""
    devices = tuple(replace(d, healthy=i > 1) for i, d in enumerate(gpus("n1", 4)))
    _, node = a_cluster(devices=devices)
    refusal = node_refusal(node, a_job(), Need(3000))
    assert refusal is not None
    assert refusal.text == "2 of 4 suitable GPUs healthy, a shard needs 3"
    assert refusal.code is Code.GPUS_FAILED
    assert shards_when_empty(node, a_job(), Need(3000)) == 1
    _, bare = a_cluster(devices=())
    refusal = node_refusal(bare, a_job(), GPU)
    assert refusal is not None
    assert refusal.code is Code.NO_GPU


def test_every_code_has_a_kind() -> None:
    """As declared; busy codes are about capacity."""
    assert {code.kind for code in Code} == set(Kind)
    assert all(code.value == code.name for code in Code)
    assert all(code.kind is Kind.CAPACITY for code in Code if code.is_busy)
    assert Code.QUOTA_FIRM.kind is Kind.POLICY
    assert Code.WINDOW.kind is Kind.TIME
