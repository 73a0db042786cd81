"""The primitives that move capacity: hold, leave, claim. Each keeps node and queue accounts.

Free now = inventory - used - what is claimed beyond what is leaving; see Device.free_milli. Used by
`apply`, and by a `Draft`, which calls the inverse to take it back:
hold/release, leave/stay, claim/unclaim.
"""

from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.model import HoldKey, Job, Node, Placement
from aimass.core.queues import Amounts
from aimass.core.spec import WHOLE_GPU_MILLI, JobSpec


def hold(cluster: Cluster, job: Job, node: Node, key: HoldKey, placement: Placement) -> None:
    """Give a shard its share of the node. The caller has proved that it fits."""
    assert key not in node.holds, f"{key} already holds capacity on {node.id}"
    devices, share_milli = node.devices, placement.share_milli
    most_milli = WHOLE_GPU_MILLI - share_milli
    for index in placement.devices:  # before anything changes: a wrong policy must leave no trace
        assert devices[index].used_milli <= most_milli, f"{node.id} device {index} given out twice"
    for index in placement.devices:
        device = devices[index]
        device.used_milli += share_milli
        device.holders[key] = share_milli
    node.cpu_used_milli += placement.cpu_milli
    node.memory_used_mib += placement.memory_mib
    node.holds[key] = placement
    charge(cluster, job.spec, node, placement, "used", 1)
    cluster.index.touch(node)


def release(cluster: Cluster, job: Job, node: Node, key: HoldKey) -> Placement:
    """Take a shard's share back; only on an observed exit, a fenced lease, or a Draft's undo."""
    if node.leaving and key in node.leaving:
        stay(cluster, job, node, key)
    placement = node.holds.pop(key)
    devices = node.devices
    for index in placement.devices:
        device = devices[index]
        device.used_milli -= device.holders.pop(key)
    node.cpu_used_milli -= placement.cpu_milli
    node.memory_used_mib -= placement.memory_mib
    charge(cluster, job.spec, node, placement, "used", -1)
    cluster.index.touch(node)
    return placement


def leave(cluster: Cluster, job: Job, node: Node, key: HoldKey) -> None:
    """What the shard holds is on its way out: others may claim it, nobody may use it yet."""
    placement = node.holds[key]
    node.leaving[key] = None
    _count_leaving(node, placement, 1)
    charge(cluster, job.spec, node, placement, "leaving", 1)
    cluster.index.touch(node)


def stay(cluster: Cluster, job: Job, node: Node, key: HoldKey) -> None:
    """The inverse of leave."""
    placement = node.holds[key]
    del node.leaving[key]
    _count_leaving(node, placement, -1)
    charge(cluster, job.spec, node, placement, "leaving", -1)
    cluster.index.touch(node)


def _count_leaving(node: Node, placement: Placement, sign: int) -> None:
    for index in placement.devices:
        node.devices[index].leaving_milli += sign * placement.share_milli
    node.cpu_leaving_milli += sign * placement.cpu_milli
    node.memory_leaving_mib += sign * placement.memory_mib


def claim(cluster: Cluster, job: Job, node: Node, key: HoldKey, placement: Placement) -> None:
    """The shard owns this share from now on, and may hold it once nobody else does."""
    assert key not in node.claims, f"{key} already claims capacity on {node.id}"
    node.claims[key] = placement
    _count_claim(node, placement, 1)
    charge(cluster, job.spec, node, placement, "claimed", 1)
    cluster.index.touch(node)


def unclaim(cluster: Cluster, job: Job, node: Node, key: HoldKey) -> Placement:
    """Give a claim up: it is held now, or can no longer be kept."""
    placement = node.claims.pop(key)
    _count_claim(node, placement, -1)
    charge(cluster, job.spec, node, placement, "claimed", -1)
    cluster.index.touch(node)
    return placement


class PromiseKey(HoldKey):
    """Of a place that is only promised, and kept free on a draft as if it were claimed."""

    __slots__ = ()


class Credit(NamedTuple):
    """Of a place that is promised: what one holder has of it now, who will have left by then.

    devices: (index, milli).
    """

    holder: HoldKey
    cpu_milli: int
    memory_mib: int
    devices: tuple[tuple[int, int], ...]


def keep_free(
    cluster: Cluster, node: Node, key: HoldKey, placement: Placement, credits: tuple[Credit, ...]
) -> tuple[Credit, ...]:
    """Keep a promised place free: claimed on the node, and counted for no queue.

    Returns the credits that count: those of holders who have not left meanwhile (in a look ahead).
    """
    assert key not in node.claims, f"{key} already claims capacity on {node.id}"
    node.claims[key] = placement
    _count_claim(node, placement, 1)
    count = tuple(credit for credit in credits if credit.holder in node.holds)
    for credit in count:
        node.credits.setdefault(credit.holder, []).append(credit)
        _add_credit(node, credit, 1)
    cluster.index.touch(node)
    return count


def let_go(
    cluster: Cluster, node: Node, key: HoldKey, placement: Placement, credits: tuple[Credit, ...]
) -> tuple[Credit, ...]:
    """The inverse of keep_free; returns the credits that counted until now."""
    del node.claims[key]
    _count_claim(node, placement, -1)
    counted = tuple(c for c in credits if c in node.credits.get(c.holder, ()))
    for credit in counted:
        left = node.credits[credit.holder]
        left.remove(credit)
        if not left:
            del node.credits[credit.holder]
        _add_credit(node, credit, -1)
    cluster.index.touch(node)
    return counted


def _add_credit(node: Node, credit: Credit, sign: int) -> None:
    node.cpu_credit_milli += sign * credit.cpu_milli
    node.memory_credit_mib += sign * credit.memory_mib
    for index, milli in credit.devices:
        node.devices[index].credit_milli += sign * milli


def end_credits(node: Node, holder: HoldKey) -> list[Credit]:
    """The holder has left, in a look ahead: what was promised of its place now counts."""
    ended = node.credits.pop(holder, [])
    for credit in ended:
        _add_credit(node, credit, -1)
    return ended


def restore_credits(node: Node, holder: HoldKey, ended: list[Credit]) -> None:
    """The inverse of end_credits."""
    node.credits[holder] = ended
    for credit in ended:
        _add_credit(node, credit, 1)


def _count_claim(node: Node, placement: Placement, sign: int) -> None:
    for index in placement.devices:
        node.devices[index].claimed_milli += sign * placement.share_milli
    node.cpu_claimed_milli += sign * placement.cpu_milli
    node.memory_claimed_mib += sign * placement.memory_mib


def has_room(node: Node, job: Job, placement: Placement) -> bool:
    """True when exactly these shares of the node are free for the job. O(holds on it)."""
    devices = node.devices
    return (
        all(
            index < len(devices) and devices[index].free_milli >= placement.share_milli
            for index in placement.devices
        )
        and placement.cpu_milli <= node.cpu_free_milli
        and placement.memory_mib <= node.memory_free_mib
        and not any(
            key.job_id != job.id and (placement.exclusive or other.exclusive)
            for table in (node.holds, node.claims)
            for key, other in table.items()
        )
    )


def charge(
    cluster: Cluster, spec: JobSpec, node: Node, placement: Placement, table: str, sign: int
) -> None:
    """Enter a placement into a table ("used", "leaving", "claimed") of its queue and all above it.

    Called for every shard that comes or goes: O(depth + devices), spelled out for speed.
    """
    cpu_milli, memory_mib = sign * placement.cpu_milli, sign * placement.memory_mib
    devices, share_milli = placement.devices, sign * placement.share_milli
    gpu_milli = share_milli * len(devices)
    key = ""
    if gpu_milli:
        rows = node.devices
        model = rows[devices[0]].spec.model
        for index in devices:
            if rows[index].spec.model != model:
                break
        else:
            key = "gpu:" + model  # nearly always: all of one model
    for queue in cluster.queues[spec.queue].tree.chain:
        queue.version += 1
        row: Amounts = getattr(queue, table)
        row["cpu"] += cpu_milli
        row["memory"] += memory_mib
        if gpu_milli:
            row["gpu"] += gpu_milli
            if key:
                row[key] += gpu_milli
            else:
                for index in devices:
                    row["gpu:" + node.devices[index].spec.model] += share_milli
    if not spec.preemptible and table != "firm":
        charge(cluster, spec, node, placement, "firm", -sign if table == "leaving" else sign)


def amounts_of(node: Node, placement: Placement) -> Amounts:
    """What a placement counts for in its queues. O(devices of the shard)."""
    amounts = {"cpu": placement.cpu_milli, "memory": placement.memory_mib}
    if placement.devices:
        share = placement.share_milli
        amounts["gpu"] = share * len(placement.devices)
        devices, last, key = node.devices, "", ""
        for index in placement.devices:
            model = devices[index].spec.model
            if model != last:
                last, key = model, "gpu:" + model
                amounts.setdefault(key, 0)
            amounts[key] += share
    return amounts
