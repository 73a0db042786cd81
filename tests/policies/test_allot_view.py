"""What allotters read of a cluster, and the speeds that they suppose where nobody says."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.cluster import Cluster
from aimass.core.model import (
    Attempt,
    Device,
    DeviceSpec,
    Inventory,
    Job,
    JobId,
    JobState,
    Node,
    NodeId,
    NodeState,
    Shard,
    placement_of,
)
from aimass.core.spec import Elastic, JobSpec, Need, Role
from aimass.core.speeds import SpeedOn, Told, speed_on
from aimass.policies.allot_speeds import Model, levels_of, scaled
from aimass.policies.allot_view import UNKNOWN, Held, LiveJob, view_of

MODELS = (Model("A100", 16, 8), Model("T4", 16, 4))
HOUR = 3_600_000
NOW_MS = 10 * HOUR


def cluster_of(*nodes: tuple[str, int]) -> Cluster:
    """Nodes of one GPU model each."""
    cluster = Cluster()
    cluster.now_ms = NOW_MS
    for index, (model, gpus) in enumerate(nodes):
        specs = tuple(DeviceSpec(f"{index}-{i}", model, 16_000) for i in range(gpus))
        inventory = Inventory(f"n{index}", "", 64_000, 64_000, specs)
        node_id = NodeId(f"node-{index}")
        node = Node(node_id, index, inventory, "", 1, "", NodeState.READY, 0)
        node.devices = [Device(spec) for spec in specs]
        cluster.nodes[node_id] = node
    return cluster


def submit(cluster: Cluster, seq: int, role: Role, **others: object) -> Job:
    """A queued job that was submitted an hour ago."""
    spec = replace(JobSpec(f"name-{seq}", (role,), expected_ms=HOUR), **others)  # type: ignore[arg-type]
    job = Job(JobId(f"job-{seq}"), seq, spec, "u", "", NOW_MS - HOUR)
    cluster.jobs[job.id] = job
    cluster.waiting.add(job)
    return job


def start(cluster: Cluster, job: Job, node: int, gpus: int, running_ms: int) -> None:
    """Let it run on the first GPUs of the node."""
    there = list(cluster.nodes.values())[node]
    need = job.spec.roles[0].need
    places = tuple(placement_of(there, 0, (i,), need) for i in range(gpus))
    shards = [Shard() for _ in places]
    job.attempts.append(
        Attempt(job.attempt + 1, places, [[]] * gpus, shards, running_ms, "", running_ms)
    )
    job.attempt += 1
    job.state = JobState.RUNNING
    cluster.waiting.remove(job)
    cluster.active[job.id] = job


GANG = Role("worker", 4, Need(1000), ("work",))
ELASTIC = Role("worker", 2, Need(1000), ("work",), Elastic(1, 8, 1, 30_000, 600_000))


def only(cluster: Cluster) -> LiveJob:
    """The one live job."""
    (job,) = view_of(cluster).jobs
    return job


def test_a_rigid_job_has_one_size_on_every_model() -> None:
    cluster = cluster_of(("A100", 8), ("T4", 4))
    submit(cluster, 1, GANG)
    assert only(cluster).levels == (((4, 1_000_000),), ((4, 1_000_000),))
    assert [m.gpus for m in view_of(cluster).models] == [8, 4]


def test_an_elastic_job_of_which_nobody_says_how_it_scales_speeds_up_less_and_less() -> None:
    cluster = cluster_of(("A100", 8))
    submit(cluster, 1, ELASTIC)
    levels = dict(only(cluster).levels[0])
    assert list(levels) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert levels[2] == 1_000_000  # as many as it asks for
    assert levels[8] == pytest.approx(4**0.75 * 10**6, abs=2)


def test_sizes_are_those_that_are_named_and_faster_than_all_smaller() -> None:
    speeds = tuple(SpeedOn("T4", n, 0, s) for n, s in ((1, 40), (2, 30), (4, 90), (64, 95)))
    assert levels_of(speeds, MODELS[1:], [1, 2, 3, 4, 8], 1) == (((1, 40), (4, 90)),)


def test_where_it_cannot_run_it_has_no_size() -> None:
    speeds = (SpeedOn("A100", 0, 0, 0), SpeedOn("T4", 0, 0, 500_000))
    assert levels_of(speeds, MODELS, [4], 4) == ((), ((4, 500_000),))


def test_on_a_model_that_is_not_named_it_is_as_fast_as_on_the_first_that_is() -> None:
    speeds = (SpeedOn("T4", 1, 0, 700_000), SpeedOn("T4", 2, 0, 900_000))
    first, second = levels_of(speeds, MODELS, [1, 2], 1)
    assert first == second == ((1, 700_000), (2, 900_000))


_speeds = st.lists(
    st.builds(
        SpeedOn,
        st.sampled_from(("", "A100", "T4")),
        st.sampled_from((1, 2, 8, 16)),
        st.sampled_from((0, 1, 2)),
        st.integers(1, 3_000_000),
    ),
    min_size=1,
    unique_by=lambda s: (s.gpu_type, s.gpus, s.nodes),
).map(tuple)


@given(speeds=_speeds)
def test_what_is_said_of_a_setting_is_read_as_core_reads_it(speeds: tuple[SpeedOn, ...]) -> None:
    """Level by level, on as few nodes as the gang fits on."""
    for model, levels in zip(MODELS, levels_of(speeds, MODELS, [1, 2, 8, 16], 1), strict=True):
        if any(s.gpu_type in ("", model.name) for s in speeds):
            for gpus, micro in levels:
                said = speed_on(speeds, model.name, gpus, -(-gpus // model.per_node))
                assert said in (micro, None)


def test_work_done_counts_at_the_speed_at_which_it_was_done() -> None:
    cluster = cluster_of(("A100", 8), ("T4", 4))
    fast = (SpeedOn("A100", 4, 0, 2_000_000), SpeedOn("T4", 4, 0, 1_000_000))
    job = submit(cluster, 1, GANG, speeds=fast)
    start(cluster, job, 0, 4, NOW_MS - HOUR // 4)
    seen = only(cluster)
    assert seen.has == Held(0, 4)
    assert (seen.worked_ms, seen.left_ms, seen.had_gpu_ms) == (HOUR // 2, HOUR // 2, HOUR)


def test_what_the_program_tells_counts_before_what_was_expected() -> None:
    cluster = cluster_of(("A100", 8))
    job = submit(cluster, 1, GANG)
    start(cluster, job, 0, 4, NOW_MS - HOUR)
    job.told = Told(left_ms=9 * HOUR, at_ms=NOW_MS - HOUR // 2)
    assert only(cluster).left_ms == 9 * HOUR - HOUR // 2
    job.spec = replace(job.spec, expected_ms=0)
    job.told = Told()
    assert only(cluster).left_ms == UNKNOWN


def test_an_elastic_job_keeps_what_it_has_for_an_interval() -> None:
    cluster = cluster_of(("A100", 8))
    job = submit(cluster, 1, ELASTIC)
    start(cluster, job, 0, 2, NOW_MS - 1)
    assert (only(cluster).is_fixed, only(cluster).free_ms) == (True, NOW_MS - 1 + 600_000)
    cluster.now_ms += 600_000
    assert not only(cluster).is_fixed


def test_who_may_not_be_stopped_is_not_shared_out_with_what_it_holds() -> None:
    cluster = cluster_of(("A100", 8))
    job = submit(cluster, 1, GANG, preemptible=False)
    start(cluster, job, 0, 4, NOW_MS - HOUR)
    assert view_of(cluster).jobs == ()
    assert view_of(cluster).models[0].gpus == 4


def test_cordoned_nodes_and_failed_devices_have_nothing_to_give() -> None:
    cluster = cluster_of(("A100", 8), ("A100", 8))
    first, second = cluster.nodes.values()
    first.cordon = "by hand"
    second.devices[0].spec = replace(second.devices[0].spec, healthy=False)
    assert view_of(cluster).models == (Model("A100", 7, 8),)


def test_a_job_without_gpus_is_to_run_as_it_is() -> None:
    cluster = cluster_of(("A100", 8))
    job = submit(cluster, 1, Role("worker", 3, Need(cpu_milli=1000), ("work",)))
    ((job_id, want),) = view_of(cluster).as_asked
    assert (job_id, want.sizes) == (job.id, (3,))


@given(st.integers(1, 512))
def test_more_gpus_are_faster_and_each_adds_less(gpus: int) -> None:
    steps = [scaled(n, 8) for n in (gpus, gpus + 1, gpus + 2)]
    assert steps[0] < steps[1] < steps[2]
    assert steps[2] - steps[1] <= steps[1] - steps[0] + 1
