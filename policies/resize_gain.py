"""Grow where the time won is worth the restart, less what all-reduces then take longer."""

from collections.abc import Sequence
from itertools import groupby

from aimass.core.cluster import Cluster
from aimass.core.model import Job, Placement
from aimass.core.runtimes import expected_end_ms
from aimass.core.spec import WHOLE_GPU_MILLI, JobKind
from aimass.core.speeds import speed_on
from aimass.policies.allreduce import Group, all_reduce
from aimass.policies.devices import sets_of

# How long a training job computes between two all-reduces of allreduce.MESSAGE_BYTES. These are the
# gradients of 540 million parameters in 16 bits; with 6 operations for each and a token, 16,000
# tokens take a GPU of 200 TFLOPS so long. Both grow with the model, so the ratio stays.
STEP_US = 250_000


class GrowForGain:
    """Gain in shard-milliseconds of the time that is left, minus what a restart of them all costs.

    That is the elastic job's own cost, and without a checkpoint signal the work since its last one.
    """

    name = "gain"
    version = 3

    def gain(
        self, cluster: Cluster, job: Job, shards: int, places: Sequence[Placement] = ()
    ) -> int:
        """See ResizePolicy.gain. At least one interval is taken to be left.

        Speed-up is what the job says of its speeds; else linear, less the time that all-reduces
        take longer at these places than where it runs now. O(places + speeds).
        """
        elastic = job.spec.roles[job.spec.elastic_role].elastic
        assert elastic is not None
        role = job.spec.elastic_role
        has = sum(p.role == role for p in job.current.placements)
        end_ms, is_known = expected_end_ms(cluster, job)
        left_ms = end_ms - cluster.now_ms
        if not is_known:
            left_ms = max(elastic.interval_ms, 10 * elastic.cost_ms)
        lost_ms = elastic.cost_ms
        if not job.spec.checkpoint.signal:  # it cannot be asked to save what it has done
            attempt = job.current
            lost_ms += cluster.now_ms - max(attempt.running_ms, attempt.checkpoint_ms)
        worked_ms = max(0, left_ms - elastic.cost_ms)
        said = _speeds(cluster, job, shards, places)
        if said is not None:
            now_micro, then_micro = said
            return has * (then_micro - now_micro) * worked_ms // now_micro - has * lost_ms
        step_us, now_us = _step_us(cluster, job, places), STEP_US
        if step_us > STEP_US:
            now_us = min(step_us, _step_us(cluster, job, job.current.placements))
        return (shards * now_us - has * step_us) * worked_ms // step_us - has * lost_ms


def _speeds(
    cluster: Cluster, job: Job, shards: int, places: Sequence[Placement]
) -> tuple[int, int] | None:
    """Its speed now and with so many shards, in millionths; None where it does not say both."""
    speeds = job.told.speeds or job.spec.speeds
    if not speeds:
        return None
    held = job.current.placements
    now = [place for place in held if place.devices]
    if not now:
        return None
    node = cluster.nodes[now[0].node_id]
    model = node.devices[now[0].devices[0]].spec.model
    each = job.spec.roles[job.spec.elastic_role].need.devices
    has = sum(len(place.devices) for place in now)
    more = (shards - sum(p.role == job.spec.elastic_role for p in held)) * each
    nodes = len({place.node_id for place in places if place.devices}) or 1
    now_micro = speed_on(speeds, model, has, len({place.node_id for place in now}))
    then_micro = speed_on(speeds, model, has + more, nodes)
    if then_micro is None:  # at least what it says of the largest size below
        below = (entry.gpus for entry in speeds if entry.gpus <= has + more)
        then_micro = speed_on(speeds, model, max(below, default=0), nodes)
    return (now_micro, then_micro) if now_micro and then_micro is not None else None


def _step_us(cluster: Cluster, job: Job, places: Sequence[Placement]) -> int:
    """A step of the gang there, with its all-reduce over the elastic role's whole GPUs."""
    role = job.spec.roles[job.spec.elastic_role]
    if job.spec.kind is not JobKind.TRAIN or role.need.gpu_milli < WHOLE_GPU_MILLI:
        return STEP_US
    ranks = [place for place in places if place.role == job.spec.elastic_role]
    gangs = [(i, list(own)) for i, own in groupby(ranks, lambda place: place.node_id)]
    groups = []
    for node_id, own in gangs:
        node, sets = cluster.nodes[node_id], tuple(place.devices for place in own)
        weight = sets_of(node).slowest(sets, is_closed=len(gangs) == 1)
        groups.append(Group(node, sum(map(len, sets)), weight))
    found = all_reduce(cluster.levels, groups)
    return STEP_US + (found.time_us if found is not None else 0)
