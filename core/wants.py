"""Wants: the forms in which a job would start, best first, and what they would count for."""

from aimass.core.cluster import Cluster
from aimass.core.model import Job, Placement
from aimass.core.policy import Want
from aimass.core.queues import Amounts
from aimass.core.spec import WHOLE_GPU_MILLI, Need


def forms(job: Job, now_ms: int) -> list[Want]:
    """Every (GPU types, topology level) in which the job would start, at the size asked for.

    While a preferred level is still waited for, nothing wider is among them.
    """
    roles, topology = job.spec.roles, job.spec.topology
    if len(roles) == 1 and not topology.preferred and not roles[0].need.in_order:  # nearly always
        return [Want((roles[0].shards,), None, topology.required)]
    sizes = tuple(role.shards for role in roles)
    levels = [topology.preferred] if topology.preferred else []
    if not levels or now_ms >= locality_ends_ms(job):
        levels.append(topology.required)
    in_order = next((r.need.gpu_types for r in roles if r.need.in_order), ())
    types: list[tuple[str, ...] | None] = [(model,) for model in in_order] or [None]
    return [Want(sizes, kinds, level) for kinds in types for level in levels]


def locality_ends_ms(job: Job) -> int:
    """When the job stops waiting for its preferred topology level."""
    return job.queued_ms + job.spec.topology.wait_ms


def sized(job: Job, want: Want, shards: int) -> Want:
    """The same form with so many shards of the elastic role."""
    role = job.spec.elastic_role
    sizes = tuple(shards if i == role else n for i, n in enumerate(want.sizes))
    return Want(sizes, want.gpu_types, want.level)


def devices_of(job: Job, want: Want) -> int:
    """Whole devices that the gang would hold."""
    devices = 0
    for role, shards in zip(job.spec.roles, want.sizes, strict=True):
        if role.need.gpu_milli >= WHOLE_GPU_MILLI:
            devices += shards * role.need.devices
    return devices


def amounts_asked(job: Job, want: Want) -> Amounts:
    """What the gang would count for in its queues, as far as known before it is placed.

    By GPU model only when just one will do; a share by memory counts as nothing until then.
    """
    amounts = {"gpu": 0, "cpu": 0, "memory": 0}
    for role, shards in zip(job.spec.roles, want.sizes, strict=True):
        need = role.need
        amounts["gpu"] += shards * need.gpu_milli
        amounts["cpu"] += shards * need.cpu_milli
        amounts["memory"] += shards * need.memory_mib
        models = models_of(need, want)
        if len(models) == 1 and need.gpu_milli:
            key = f"gpu:{models[0]}"
            amounts[key] = amounts.get(key, 0) + shards * need.gpu_milli
    return amounts


def amounts_least(job: Job, now_ms: int) -> Amounts:
    """What the gang would count for at its smallest size, in the form that it likes best."""
    want = forms(job, now_ms)[0]
    if (role := job.spec.elastic_role) >= 0:
        elastic = job.spec.roles[role].elastic
        assert elastic is not None
        want = sized(job, want, elastic.min_shards)
    return amounts_asked(job, want)


def models_of(need: Need, want: Want) -> tuple[str, ...]:
    """Device models that will do; empty: any. A role that takes none of them keeps its own."""
    if want.gpu_types is None or not need.has_gpu:
        return need.gpu_types
    if not need.gpu_types:
        return want.gpu_types
    return tuple(m for m in want.gpu_types if m in need.gpu_types) or need.gpu_types


def sizes_of(job: Job, placements: tuple[Placement, ...]) -> tuple[int, ...]:
    """Shards per role of a gang that is placed."""
    counts = [0] * len(job.spec.roles)
    for placement in placements:
        counts[placement.role] += 1
    return tuple(counts)


def amounts_placed(cluster: Cluster, placements: tuple[Placement, ...]) -> Amounts:
    """What a placed gang counts for in its queues. O(shards)."""
    total: Amounts = {"gpu": 0, "cpu": 0, "memory": 0}
    for placement in placements:
        total["cpu"] += placement.cpu_milli
        total["memory"] += placement.memory_mib
        if placement.devices:
            devices = cluster.nodes[placement.node_id].devices
            total["gpu"] += placement.share_milli * len(placement.devices)
            for index in placement.devices:
                key = "gpu:" + devices[index].spec.model
                total[key] = total.get(key, 0) + placement.share_milli
    return total
