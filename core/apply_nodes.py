"""What events about nodes do: register, inventory, silence, lease, cordon and drain."""

from dataclasses import replace

from aimass.core import events as ev
from aimass.core.apply_shards import exit_shard, live
from aimass.core.cluster import Cluster
from aimass.core.lifecycle import NodeTrigger, move_node
from aimass.core.links import rearranged
from aimass.core.model import Device, Exit, ExitReason, Inventory, Node, NodeState
from aimass.core.moves import charge_node


def node_registered(cluster: Cluster, event: ev.NodeRegistered) -> None:
    """See events.NodeRegistered. A reboot ends every shard there. O(devices + shards)."""
    node = cluster.nodes.get(event.node_id)
    if node is None:
        node = Node(
            event.node_id,
            len(cluster.nodes),
            event.inventory,
            event.boot_id,
            event.incarnation,
            event.agent_version,
            NodeState.READY,
            event.at_ms,
        )
        cluster.nodes[node.id] = node
    else:
        if event.instance == node.instance:
            assert event.incarnation >= node.incarnation, f"{node.id}: an older agent registered"
        else:
            assert not node.holds, f"{node.id}: a stranger registered while it holds shards"
        move_node(node, NodeTrigger.REGISTER, event.at_ms, "")
        if event.boot_id != node.boot_id:
            _exit_all(cluster, node, ExitReason.NODE_REBOOT, "the machine restarted", event.at_ms)
        node.boot_id = event.boot_id
        node.incarnation = event.incarnation
        node.agent_version = event.agent_version
    node.lease_ms = event.lease_ms
    node.instance = event.instance
    _take_inventory(cluster, node, event.inventory)
    node.generation += 1


def inventory_changed(cluster: Cluster, event: ev.InventoryChanged) -> None:
    """See events.InventoryChanged."""
    _take_inventory(cluster, cluster.nodes[event.node_id], event.inventory)


def _take_inventory(cluster: Cluster, node: Node, inventory: Inventory) -> None:
    """Keep what is held, by UUID. A device that is held but no longer reported stays, as failed."""
    held = {d.spec.uuid: d for d in node.devices if d.holders or d.claimed_milli}
    if held:
        inventory = keep_held(node, inventory)
    if inventory.devices != node.inventory.devices:
        _break_promises(cluster, node)
    charge_node(cluster, node, -1)  # a device may say that it is of another model now
    node.inventory = inventory
    node.devices = [held.get(spec.uuid, Device(spec)) for spec in inventory.devices]
    for device, spec in zip(node.devices, inventory.devices, strict=True):
        device.spec = spec
    charge_node(cluster, node, 1)
    _changed(cluster, node)


def _break_promises(cluster: Cluster, node: Node) -> None:
    """A promise names devices by index; unlike a claim it does not keep them. The next decision
    makes it anew."""
    for planned in list(cluster.planned.values()):
        if any(placement.node_id == node.id for placement in planned.placements):
            del cluster.planned[planned.job_id]


def _changed(cluster: Cluster, node: Node) -> None:
    """The node is other than it was: something may fit now, or no longer."""
    cluster.index.put(node)
    cluster.freed_revision = cluster.revision + 1


def keep_held(node: Node, reported: Inventory) -> Inventory:
    """The reported inventory, arranged so that every held device keeps its index.

    Placements name devices by index, so an index in use must go on meaning the same device.
    """
    new = {spec.uuid: index for index, spec in enumerate(reported.devices)}
    slots, order = [], []
    for device in node.devices:
        gone = replace(device.spec, healthy=False, health_detail="no longer reported")
        index = new.pop(device.spec.uuid, -1)
        slots.append(reported.devices[index] if index >= 0 else gone)
        order.append(index)
    slots += [reported.devices[index] for index in new.values()]
    links = reported.links and rearranged(reported.links, (*order, *new.values()))
    return replace(reported, devices=tuple(slots), links=links)


def node_silent(cluster: Cluster, event: ev.NodeSilent) -> None:
    """See events.NodeSilent."""
    node = cluster.nodes[event.node_id]
    if node.state is NodeState.READY:
        move_node(node, NodeTrigger.SILENCE, event.at_ms, event.reason)
        _changed(cluster, node)


def lease_expired(cluster: Cluster, event: ev.LeaseExpired) -> None:
    """See events.LeaseExpired. Its shards have stopped by now. O(shards)."""
    node = cluster.nodes[event.node_id]
    if node.state is not NodeState.SUSPECT:
        return
    move_node(node, NodeTrigger.EXPIRY, event.at_ms, "silent for longer than its lease")
    _changed(cluster, node)
    _exit_all(cluster, node, ExitReason.NODE_LOST, node.reason, event.at_ms)


def _exit_all(cluster: Cluster, node: Node, reason: ExitReason, detail: str, at_ms: int) -> None:
    """Every shard on the node has ended, whether or not its exit was seen."""
    for key in sorted(node.holds, key=lambda k: (cluster.jobs[k.job_id].submit_seq, k.rank)):
        found = live(cluster, *key)
        assert found is not None, f"{key} holds capacity on {node.id} but is not alive"
        exit_shard(cluster, *found, key.rank, Exit(reason=reason, detail=detail), at_ms)


def node_cordoned(cluster: Cluster, event: ev.NodeCordoned) -> None:
    """See events.NodeCordoned."""
    node = cluster.nodes[event.node_id]
    node.cordon = f"cordoned by {event.by or 'nobody named'}" + (
        f": {event.reason}" if event.reason else ""
    )
    node.drain_ms = event.drain_ms
    _changed(cluster, node)


def node_uncordoned(cluster: Cluster, event: ev.NodeUncordoned) -> None:
    """See events.NodeUncordoned."""
    node = cluster.nodes[event.node_id]
    node.cordon = ""
    node.drain_ms = 0
    _changed(cluster, node)
