"""check_invariants(cluster): what is true of the state after every event (I1-I8, ARCHITECTURE.md).

Recounts everything from the rows; O(jobs + holds). Tests run it after each event, the daemon after
recovery. A violation is a bug, never a user's mistake, so it is an assertion.
"""

from collections.abc import Mapping

from aimass.core import lives
from aimass.core.capacity import amounts_of
from aimass.core.cluster import OVER_KEPT, Cluster
from aimass.core.demand import Demand, Lives
from aimass.core.model import Goal, HoldKey, Job, JobState, Node, NodeState, Placement, ShardState
from aimass.core.node_view import PARTIAL_BITS, use_of
from aimass.core.queues import FAIR, Amounts
from aimass.core.reserves import Cells, known_cells
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.timers import due_ms

Places = dict[HoldKey, Placement]


def check_invariants(cluster: Cluster) -> None:
    """Raise AssertionError naming the invariant and the row that breaks it."""
    _check_jobs(cluster)
    _check_claims(cluster)
    _check_arrays(cluster)
    _check_nodes(cluster, _live_places(cluster), _claimed_places(cluster))
    _check_queues(cluster)
    _check_indexes(cluster)


def _check_jobs(cluster: Cluster) -> None:
    """I1, I6: every job is accounted for, in a state that fits its attempt."""
    submit_seqs = [job.submit_seq for job in cluster.jobs.values()]
    assert submit_seqs == sorted(submit_seqs), "I1: jobs are out of submit order"
    for job in cluster.jobs.values():
        state = job.state
        assert state.is_over == (job.id in cluster.over), f"I6: {job.id} over and not over"
        assert state.is_over == bool(job.outcome), f"I6: {job.id} ended without an outcome"
        assert state.is_active == (job.id in cluster.active), f"I8: {job.id} is (not) active"
        is_elastic = state.is_active and job.spec.elastic_role >= 0
        assert is_elastic == (job.id in cluster.elastic), f"I8: {job.id} is (not) elastic"
        waits = state in (JobState.QUEUED, JobState.HELD)
        assert waits or not job.unmet, f"I6: {job.id} is {state.value} and waits for others"
        assert (state is JobState.HELD) == bool(job.hold_reason), f"{job.id}: {job.hold_reason}"
        for attempt in job.attempts[: -1 if state.is_active else None]:
            assert attempt.live == 0, f"I3: {job.id} attempt {attempt.number} is past but lives"
        if state.is_active:
            stopping = job.current.stop_goal is not None
            assert stopping == (state is JobState.STOPPING), f"I6: {job.id} stop order lost"


def _check_claims(cluster: Cluster) -> None:
    """Who is RESERVED owns its next places; of the active, only who restarts in another size."""
    for job in cluster.jobs.values():
        owned = cluster.claims.get(job.id)
        assert (job.state is JobState.RESERVED) <= (owned is not None), f"{job.id} owns nothing"
        if owned is not None:
            assert owned.attempt == job.attempt + 1, f"I4: {job.id} owns places of the past"
            resizes = job.state is JobState.STOPPING and job.current.stop_goal is Goal.RESIZE
            assert resizes or job.state is JobState.RESERVED, f"{job.id} owns places for nothing"
    assert set(cluster.claims) <= set(cluster.jobs), "I7: places are claimed by nobody"
    for job_id in cluster.planned:
        state = cluster.jobs[job_id].state
        assert state is JobState.QUEUED, f"{job_id} is {state.value} and has a promise"


def _check_arrays(cluster: Cluster) -> None:
    """An array's counts are its tasks'."""
    tasks: dict[str, list[Job]] = {}
    for job in cluster.jobs.values():
        if job.array_id:
            tasks.setdefault(job.array_id, []).append(job)
    assert list(tasks) == list(cluster.arrays), "I8: arrays without tasks, or tasks without arrays"
    for row in cluster.arrays.values():
        kept = tasks[row.id]
        over = sum(job.state.is_over for job in kept)
        assert row.kept == len(kept), f"I8: {row.id} remembers {len(kept)} tasks, not {row.kept}"
        assert row.over == over + row.total - row.kept, f"I8: {row.id} miscounts who is over"
        active = sum(j.state.is_active or j.state is JobState.RESERVED for j in kept)
        assert row.active == active, f"I8: {row.id} counts {row.active} active, has {active}"


def _live_places(cluster: Cluster) -> Places:
    """I3, I4: the live shards of the newest attempt hold capacity, all others none."""
    expected: Places = {}
    for job in cluster.jobs.values():
        if not job.state.is_active:
            continue
        attempt = job.current
        assert attempt.number == job.attempt, f"I4: {job.id} runs attempt {attempt.number}"
        _check_gang(job, attempt.placements)
        live = 0
        for rank, shard in enumerate(attempt.shards):
            assert (shard.exit is not None) == (shard.state is ShardState.EXITED)
            if shard.state is not ShardState.EXITED:
                expected[HoldKey(job.id, attempt.number, rank)] = attempt.placements[rank]
                live += 1
        assert live == attempt.live > 0, f"I3: {job.id} counts {attempt.live} live, has {live}"
    return expected


def _check_gang(job: Job, placements: tuple[Placement, ...]) -> None:
    """I3: every role has all its shards, or as many as an elastic one may have; ranks by role."""
    assert [p.role for p in placements] == sorted(p.role for p in placements), f"{job.id}: ranks"
    for index, role in enumerate(job.spec.roles):
        count = sum(p.role == index for p in placements)
        sizes = role.elastic.sizes(count) if role.elastic else [role.shards]
        assert count in sizes, f"I3: {job.id} is not a whole gang: {count} of {role.name}"


def _claimed_places(cluster: Cluster) -> Places:
    expected: Places = {}
    for owned in cluster.claims.values():
        _check_gang(cluster.jobs[owned.job_id], owned.placements)
        for rank, placement in enumerate(owned.placements):
            expected[HoldKey(owned.job_id, owned.attempt, rank)] = placement
    return expected


def _check_nodes(cluster: Cluster, expected: Places, claimed: Places) -> None:
    """I2, I7: what is held is what live shards hold; free + held = inventory."""
    held: Places = {}
    claims: Places = {}
    for node in cluster.nodes.values():
        leaving = {key: node.holds[key] for key in node.leaving}
        used = _totals(node, node.holds)
        assert used == (
            node.cpu_used_milli,
            node.memory_used_mib,
            [d.used_milli for d in node.devices],
        ), f"I7: {node.id} totals drifted"
        assert _totals(node, leaving) == (
            node.cpu_leaving_milli,
            node.memory_leaving_mib,
            [d.leaving_milli for d in node.devices],
        ), f"I7: {node.id} miscounts what is leaving"
        assert _totals(node, node.claims) == (
            node.cpu_claimed_milli,
            node.memory_claimed_mib,
            [d.claimed_milli for d in node.devices],
        ), f"I7: {node.id} miscounts what is claimed"
        for index, device in enumerate(node.devices):
            assert device.used_milli <= WHOLE_GPU_MILLI, f"I2: {node.id} {index} given out twice"
            holders = {k: p.share_milli for k, p in node.holds.items() if index in p.devices}
            assert device.holders == holders, f"I2: {node.id} device {index} is held by others"
        assert not (node.state is NodeState.LOST and node.holds), f"I7: {node.id} lost but holds"
        for key in node.holds:
            stops = cluster.jobs[key.job_id].state is JobState.STOPPING
            assert stops == (key in node.leaving), f"I7: {key} is (not) leaving {node.id}"
        held.update(node.holds)
        claims.update(node.claims)
    assert held == expected, f"I7: held {set(held) ^ set(expected)} by nobody, or by the dead"
    assert claims == claimed, f"I7: claimed {set(claims) ^ set(claimed)} by nobody"


def _totals(node: Node, rows: Mapping[HoldKey, Placement]) -> tuple[int, int, list[int]]:
    """(CPU, memory, share of each device) of these placements."""
    cpu_milli = memory_mib = 0
    shares = [0] * len(node.devices)
    for key, placement in rows.items():
        assert placement.node_id == node.id, f"I7: {key} is booked on the wrong node"
        cpu_milli += placement.cpu_milli
        memory_mib += placement.memory_mib
        for index in placement.devices:
            shares[index] += placement.share_milli
    return cpu_milli, memory_mib, shares


def _check_queues(cluster: Cluster) -> None:
    """I9: a queue's accounts are what its jobs and those of the queues below it hold and own."""
    tables: dict[tuple[str, str], Amounts] = {}
    counts: dict[tuple[str, str], int] = {}
    priorities: dict[tuple[str, int], int] = {}
    for node in cluster.nodes.values():
        leaving = {key: node.holds[key] for key in node.leaving}
        for table, rows in (("used", node.holds), ("leaving", leaving), ("claimed", node.claims)):
            for key, placement in rows.items():
                spec = cluster.jobs[key.job_id].spec
                firm = 0 if spec.preemptible else -1 if table == "leaving" else 1
                for name in _chain(cluster, spec.queue):
                    row = tables.setdefault((name, table), {})
                    firm_row = tables.setdefault((name, "firm"), {})
                    for what, amount in amounts_of(node, placement).items():
                        row[what] = row.get(what, 0) + amount
                        firm_row[what] = firm_row.get(what, 0) + firm * amount
    for job in cluster.jobs.values():
        owns = job.state.is_active or job.state is JobState.RESERVED
        if not job.state.is_over:
            for name in _chain(cluster, job.spec.queue):
                key2 = (name, "active" if owns else "queued")
                counts[key2] = counts.get(key2, 0) + 1
                if job.state is JobState.STOPPING and job.current.stop_goal is not Goal.RESIZE:
                    counts[name, "stopping"] = counts.get((name, "stopping"), 0) + 1
            if job.state.is_active and job.spec.preemptible:
                key3 = (job.spec.queue, job.spec.priority)
                priorities[key3] = priorities.get(key3, 0) + 1
    for queue in cluster.queues.values():
        name = queue.spec.name
        for table in ("used", "leaving", "claimed", "firm"):
            has = {k: v for k, v in getattr(queue, table).items() if v}
            should = {k: v for k, v in tables.get((name, table), {}).items() if v}
            assert has == should, f"I9: queue {name}: {table} is {should}, it says {has}"
        for count in ("active", "stopping", "queued"):
            found = counts.get((name, count), 0)
            assert getattr(queue, count) == found, f"I9: queue {name} has {found} {count} jobs"
        by_priority = {p: n for (of, p), n in priorities.items() if of == name}
        assert queue.active_by_priority == by_priority, f"I9: queue {name}: {by_priority}"
        steady = tuple(queue.used.get(key, 0) for key in FAIR)
        assert queue.steady == steady, f"I9: the history of queue {name} counts {queue.steady}"


def _chain(cluster: Cluster, name: str) -> list[str]:
    chain = []
    while name:
        chain.append(name)
        name = cluster.queues[name].spec.parent
    return chain


def _check_indexes(cluster: Cluster) -> None:
    """I8, I10: indexes say what the rows say, and memory is bounded."""
    jobs = cluster.jobs.values()
    ready = [
        job.id
        for job in jobs
        if job.state is JobState.QUEUED and not job.unmet and job.not_before_ms <= cluster.now_ms
    ]
    assert cluster.waiting.ids() == ready, "I8: the waiting index drifted"
    assert len(cluster.waiting) == len(ready), "I8: the waiting count drifted"
    keys = {j.idempotency_key: j.array_id or j.id for j in jobs if j.idempotency_key}
    assert cluster.by_key == keys, "I8: the idempotency index drifted"
    dependents: dict[str, set[str]] = {}
    for job in jobs:
        for target in job.unmet:
            dependents.setdefault(target, set()).add(job.id)
    found = {target: set(waiting) for target, waiting in cluster.dependents.items()}
    assert found == dependents, "I8: the index of dependents drifted"
    timers = set(cluster.timers)
    for job in jobs:
        at_ms = due_ms(cluster, job)
        assert not at_ms or at_ms > cluster.now_ms, f"{job.id} fell due at {at_ms}, and nothing was"
        entry = (at_ms, job.submit_seq, job.id)
        assert not at_ms or entry in timers, f"I8: no timer for {job.id} at {at_ms}"
    for is_soon in (False, True):
        view = cluster.index.view(is_soon)
        for node in cluster.nodes.values():
            assert view.use(node.index) == use_of(node, is_soon), (
                f"I8: the index of {node.id} drifted"
            )
        rows = [device for node in cluster.nodes.values() for device in node.devices]
        whole = sum(use_of(n, is_soon).gpus >> PARTIAL_BITS for n in cluster.nodes.values())
        idle = sum(not device.used_milli for device in rows)
        assert (view.whole, view.idle) == (whole, idle), "I8: the sums of the index drifted"
    _check_cells(cluster)
    _check_lives(cluster)
    assert not (level := cluster.index.drifted()), f"I8: the counters of {level}s drifted"
    assert len(cluster.over) <= OVER_KEPT, "I10: ended jobs pile up"


def _check_cells(cluster: Cluster) -> None:
    """I8: what is known of nodes for the reserves of queues is what they hold."""
    known = known_cells(cluster)
    if known is None:
        return
    known.refresh()
    fresh = Cells(cluster, known.reserves)
    fresh.refresh()
    for model in {reserve.cell.model for reserve in known.reserves}:
        for node in cluster.nodes.values():
            row = fresh.row(node.index, model)
            assert known.row(node.index, model) == row, f"I8: the cells of {node.id} drifted"
    assert known.assign() == fresh.assign(), "I8: the cells drifted"


def _check_lives(cluster: Cluster) -> None:
    """I8: of the lives of pods, those that run are those of active jobs. O(their shards)."""
    fresh = Demand()
    for job in cluster.active.values():
        lives.begin(fresh, job, job.current)
    for kind in cluster.demand.lives.keys() | fresh.lives.keys():
        has, should = (d.lives.get(kind, Lives()) for d in (cluster.demand, fresh))
        assert (has.running, has.starts_ms) == (should.running, should.starts_ms), (
            f"I8: of {kind} {should.running} run, begun at {should.starts_ms}, it says {has}"
        )
