"""What /metrics says of queues, promises, claims and stops."""

from dataclasses import replace

from prometheus_client import generate_latest

from aimass.core.events import PlanCommitted, QueueDeleted, QueuePut
from aimass.core.model import JobId, StopRule
from aimass.core.plan import Stop
from aimass.core.queues import QueueSpec
from aimass.scheduler.metrics import Metrics
from tests.core.world import World, gpus, inventory, one_role


def shown(metrics: Metrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


def test_queues_are_measured_and_disappear_with_their_queue() -> None:
    world, metrics = World(), Metrics()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    world.do(QueuePut, spec=QueueSpec("vision", quota={"gpu": 1500, "memory": 64}))
    world.submit(one_role(gpus=2), queue="vision", expected_ms=60_000)
    world.submit(one_role(gpus=2), queue="vision", expected_ms=60_000)
    world.plan()
    metrics.measure(world.cluster)
    lines = shown(metrics)
    for line in (
        'aimass_queue_used{queue="vision",resource="gpu"} 2.0',
        'aimass_queue_used{queue="root",resource="gpu"} 2.0',
        'aimass_queue_quota{queue="vision",resource="gpu"} 1.5',
        'aimass_queue_quota{queue="vision",resource="memory"} 64.0',
        'aimass_queue_queued{queue="vision"} 1.0',
        'aimass_queue_active{queue="vision"} 1.0',
        f"aimass_promises {len(world.cluster.planned)}.0",
        "aimass_claims 0.0",
    ):
        assert line in lines
    world.do(QueuePut, spec=QueueSpec("other"))
    world.do(QueueDeleted, name="other")
    metrics.measure(world.cluster)
    assert not any('queue="other"' in line for line in shown(metrics))


def test_stops_are_counted_by_rule() -> None:
    metrics = Metrics()
    stop = Stop(JobId("j1"), 1, StopRule.RECLAIM, JobId("j2"), "")
    event = PlanCommitted(1, 1, "p", stops=(stop, replace(stop, rule=StopRule.DRAIN), stop))
    metrics.observe(World().cluster, [event])
    assert 'aimass_stops_total{rule="RECLAIM"} 2.0' in shown(metrics)
    assert 'aimass_stops_total{rule="DRAIN"} 1.0' in shown(metrics)


def test_a_gain_counts_once_for_all_who_move_for_it() -> None:
    metrics, hour_ms = Metrics(), 3_600_000
    stop = Stop(JobId("j1"), 1, StopRule.MOVE, JobId("j9"), "moves", hour_ms, hour_ms // 2, hour_ms)
    moves = [stop, replace(stop, job_id=JobId("j2")), replace(stop, by=JobId("j8"))]
    other = replace(stop, rule=StopRule.PRIORITY)
    plan = PlanCommitted(at_ms=1, basis=0, policy="test", stops=(*moves, other))
    metrics.observe(World().cluster, [plan])
    lines = shown(metrics)
    assert "aimass_move_gained_gpu_hours_total 2.0" in lines
    assert "aimass_move_lost_gpu_hours_total 4.5" in lines
