"""check_invariants(cluster): what is true of the state after every event (I1-I8, ARCHITECTURE.md).

Recounts everything from the rows; O(jobs + holds). Tests run it after each event, the daemon after
recovery. A violation is a bug, never a user's mistake, so it is an assertion.
"""

from aimass.core.cluster import OVER_KEPT, Cluster
from aimass.core.model import HoldKey, JobState, NodeState, Placement, ShardState
from aimass.core.spec import WHOLE_GPU_MILLI


def check_invariants(cluster: Cluster) -> None:
    """Raise AssertionError naming the invariant and the row that breaks it."""
    _check_jobs(cluster)
    _check_nodes(cluster, _check_gangs(cluster))
    _check_indexes(cluster)


def _check_jobs(cluster: Cluster) -> None:
    """I1, I6: every job is accounted for, in a state that fits its attempt."""
    submit_seqs = [job.submit_seq for job in cluster.jobs.values()]
    assert submit_seqs == sorted(submit_seqs), "I1: jobs are out of submit order"
    for job in cluster.jobs.values():
        assert job.state.is_over == (job.id in cluster.over), f"I6: {job.id} over and not over"
        assert job.state.is_over == bool(job.outcome), f"I6: {job.id} ended without an outcome"
        for attempt in job.attempts[: -1 if job.state.is_active else None]:
            assert attempt.live == 0, f"I3: {job.id} attempt {attempt.number} is past but lives"
        if job.state.is_active:
            stopping = job.current.stop_goal is not None
            assert stopping == (job.state is JobState.STOPPING), f"I6: {job.id} stop order lost"


def _check_gangs(cluster: Cluster) -> dict[HoldKey, Placement]:
    """I3, I4: the live shards of the newest attempt hold capacity, all others none."""
    expected: dict[HoldKey, Placement] = {}
    for job in cluster.jobs.values():
        if not job.state.is_active:
            continue
        attempt = job.current
        assert attempt.number == job.attempt, f"I4: {job.id} runs attempt {attempt.number}"
        assert len(attempt.shards) == job.spec.world_size, f"I3: {job.id} is not a whole gang"
        live = 0
        for rank, shard in enumerate(attempt.shards):
            assert (shard.exit is not None) == (shard.state is ShardState.EXITED)
            if shard.state is not ShardState.EXITED:
                expected[HoldKey(job.id, attempt.number, rank)] = attempt.placements[rank]
                live += 1
        assert live == attempt.live > 0, f"I3: {job.id} counts {attempt.live} live, has {live}"
    return expected


def _check_nodes(cluster: Cluster, expected: dict[HoldKey, Placement]) -> None:
    """I2, I7: what is held is what live shards hold; free + held = inventory."""
    held: dict[HoldKey, Placement] = {}
    for node in cluster.nodes.values():
        cpu_milli = memory_mib = 0
        used = [0] * len(node.devices)
        for key, placement in node.holds.items():
            assert placement.node_id == node.id, f"I7: {key} is booked on the wrong node"
            cpu_milli += placement.cpu_milli
            memory_mib += placement.memory_mib
            for index in placement.devices:
                used[index] += placement.share_milli
                assert node.devices[index].holders.get(key) == placement.share_milli, f"I2: {key}"
        totals = (node.cpu_used_milli, node.memory_used_mib)
        assert totals == (cpu_milli, memory_mib), f"I7: {node.id} totals drifted"
        for device, milli in zip(node.devices, used, strict=True):
            assert device.used_milli == milli <= WHOLE_GPU_MILLI, f"I2: {node.id} given out twice"
        assert not (node.state is NodeState.LOST and node.holds), f"I7: {node.id} lost but holds"
        held.update(node.holds)
    assert held == expected, f"I7: held {set(held) ^ set(expected)} by nobody, or by the dead"


def _check_indexes(cluster: Cluster) -> None:
    """I8, I10: indexes say what the rows say, and memory is bounded."""
    queued = [job.id for job in cluster.jobs.values() if job.state is JobState.QUEUED]
    assert cluster.waiting.ids() == queued, "I8: the waiting index drifted"
    assert len(cluster.waiting) == len(queued), "I8: the waiting count drifted"
    keys = {j.idempotency_key: j.id for j in cluster.jobs.values() if j.idempotency_key}
    assert cluster.by_key == keys, "I8: the idempotency index drifted"
    assert len(cluster.over) <= OVER_KEPT, "I10: ended jobs pile up"
