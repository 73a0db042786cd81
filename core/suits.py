"""Whether places that were chosen earlier still are what a job asks for."""

from aimass.core.cluster import Cluster
from aimass.core.feasible import Code, device_suits, node_refusal
from aimass.core.model import Job, Node, Placement


def still_suit(cluster: Cluster, job: Job, placements: tuple[Placement, ...]) -> bool:
    """True while the nodes, devices and domains of a claim or promise would be chosen again.

    Labels change, and a device may come back from a reboot as another. What is free on them is not
    asked; a silent node may come back. O(shards).
    """
    level, domains = job.spec.topology.required, set()
    for placement in placements:
        node = cluster.nodes[placement.node_id]
        refusal = node_refusal(node, job, job.spec.roles[placement.role].need)
        if refusal is not None and refusal.code is not Code.NODE_SUSPECT:
            return False
        if not _devices_suit(node, job, placement):
            return False
        domains.add(node.inventory.labels.get(level))
    return not level or (len(domains) == 1 and None not in domains)


def _devices_suit(node: Node, job: Job, placement: Placement) -> bool:
    need = job.spec.roles[placement.role].need
    for index in placement.devices:
        if index >= len(node.devices):
            return False
        spec = node.devices[index].spec
        if not spec.healthy or not device_suits(spec, need):
            return False
        if need.share_on(spec.memory_mib) != placement.share_milli:
            return False
    return True
