"""Protobuf messages to core values and back: nodes, desired sets, explanations.

Jobs: translate_jobs.py and translate_spec.py. No other file of the scheduler knows both.
"""

from typing import Any

from aimass.core.cluster import Cluster
from aimass.core.effects import Assignment, DesiredSet, Launch
from aimass.core.links import Links
from aimass.core.model import DeviceSpec, Inventory, Node, NodeState
from aimass.v1 import agent_pb2, node_pb2

_NODE_STATES: dict[NodeState, Any] = {
    s: node_pb2.NodeState.Value(f"NODE_STATE_{s.value}") for s in NodeState
}


# ---- what comes in ------------------------------------------------------------------------------


def inventory_from_proto(message: node_pb2.Inventory) -> Inventory:
    """What an agent reports of its machine."""
    return Inventory(
        hostname=message.hostname,
        address=message.address,
        cpu_milli=message.cpu_milli,
        memory_mib=message.memory_mib,
        devices=tuple(
            DeviceSpec(
                uuid=d.uuid,
                model=d.model,
                memory_mib=d.memory_mib,
                numa_node=d.numa_node,
                island=d.island,
                pci_bus_id=d.pci_bus_id,
                healthy=d.healthy,
                health_detail=d.health_detail,
            )
            for d in message.devices
        ),
        labels=dict(message.labels),
        probe=message.probe,
        driver_version=message.driver_version,
        cuda_version=message.cuda_version,
        taints=tuple(message.taints),
        links=_links_from_proto(message.links) if message.HasField("links") else None,
    )


def _links_from_proto(message: node_pb2.Links) -> Links:
    rows = tuple(tuple(row.counts) for row in message.nvlinks)
    return Links(rows, tuple(message.pcie_switches))


# ---- what goes out ------------------------------------------------------------------------------


def node_to_proto(node: Node) -> node_pb2.Node:
    """A node with what is held on it."""
    inventory = inventory_to_proto(node.inventory)
    for message, device in zip(inventory.devices, node.devices, strict=True):
        message.used_milli = device.used_milli
        message.jobs.extend(sorted({key.job_id for key in device.holders}))
    return node_pb2.Node(
        id=node.id,
        state=_NODE_STATES[node.state],
        reason=node.reason,
        inventory=inventory,
        cpu_free_milli=node.inventory.cpu_milli - node.cpu_used_milli,
        memory_free_mib=node.inventory.memory_mib - node.memory_used_mib,
        shards=len(node.holds),
        generation=node.generation,
        boot_id=node.boot_id,
        incarnation=node.incarnation,
        agent_version=node.agent_version,
        since_ms=node.since_ms,
    )


def inventory_to_proto(inventory: Inventory) -> node_pb2.Inventory:
    """What a machine has."""
    return node_pb2.Inventory(
        hostname=inventory.hostname,
        address=inventory.address,
        cpu_milli=inventory.cpu_milli,
        memory_mib=inventory.memory_mib,
        labels=inventory.labels,
        devices=[
            node_pb2.Device(
                index=index,
                uuid=d.uuid,
                model=d.model,
                memory_mib=d.memory_mib,
                numa_node=d.numa_node,
                island=d.island,
                pci_bus_id=d.pci_bus_id,
                healthy=d.healthy,
                health_detail=d.health_detail,
            )
            for index, d in enumerate(inventory.devices)
        ],
        probe=inventory.probe,
        driver_version=inventory.driver_version,
        cuda_version=inventory.cuda_version,
        taints=inventory.taints,
        links=_links_to_proto(inventory.links) if inventory.links is not None else None,
    )


def _links_to_proto(links: Links) -> node_pb2.Links:
    rows = [node_pb2.Links.Row(counts=row) for row in links.nvlinks]
    return node_pb2.Links(nvlinks=rows, pcie_switches=links.pcie_switches)


def desired_to_proto(cluster: Cluster, desired: DesiredSet) -> agent_pb2.DesiredSet:
    """The set for an agent, with what each shard that is to be started needs."""
    message = agent_pb2.DesiredSet(term=desired.term, generation=desired.generation)
    for item in desired.assignments:
        message.assignments.add(
            job_id=item.job_id,
            attempt=item.attempt,
            rank=item.rank,
            goal=agent_pb2.GOAL_STOP if item.stop else agent_pb2.GOAL_RUN,
            grace_ms=item.grace_ms,
            stop_reason=item.stop_reason,
            notice_signal=item.notice_signal,
            notice_ms=item.notice_ms,
            launch=_launch_to_proto(cluster, item, item.launch) if item.launch else None,
        )
    return message


def _launch_to_proto(cluster: Cluster, item: Assignment, launch: Launch) -> agent_pb2.Launch:
    job = cluster.jobs[item.job_id]
    placement = job.current.placements[item.rank]
    role = job.spec.roles[placement.role]
    return agent_pb2.Launch(
        job_name=job.spec.name,
        argv=role.command,
        env=job.spec.env,
        workdir=job.spec.workdir,
        device_uuids=launch.device_uuids,
        visible_uuids=launch.visible_uuids,
        gpu_milli=placement.share_milli if placement.devices else 0,
        cpu_milli=placement.cpu_milli,
        memory_mib=placement.memory_mib,
        role=role.name,
        role_rank=launch.role_rank,
        role_world_size=launch.role_world_size,
        world_size=launch.world_size,
        local_rank=launch.local_rank,
        local_world_size=launch.local_world_size,
        group_rank=launch.group_rank,
        group_world_size=launch.group_world_size,
        master_addr=launch.master_addr,
        master_port=launch.master_port,
        queue=job.spec.queue,
        array_id=job.array_id,
        array_index=max(job.array_index, 0),
    )
