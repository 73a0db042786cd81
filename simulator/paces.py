"""How fast a gang is where it lies, beside what its work says: spread, neighbours, slow GPUs."""

from collections.abc import Mapping

from aimass.core.cluster import Cluster
from aimass.core.model import NodeId
from aimass.core.speeds import NORMAL_MICRO
from aimass.simulator.attempts import Run
from aimass.simulator.clusters import RACK
from aimass.simulator.models import Paces


def pace_micro(
    cluster: Cluster, run: Run, paces: Paces, slow: Mapping[tuple[NodeId, int], int]
) -> int:
    """In millionths; a gang is as slow as the slowest of its GPUs. O(GPUs of the gang).

    slow: millionths of the GPUs that are slower now.
    """
    micro, nodes = NORMAL_MICRO, cluster.nodes
    if len(run.on.per_node) > 1 and not any(speed.nodes for speed in run.job.speeds):
        racks = {nodes[place.node_id].inventory.labels.get(RACK) for place in run.places}
        micro = paces.nodes_micro
        if len(racks) > 1:
            micro = micro * paces.racks_micro // NORMAL_MICRO
    held = [(place.node_id, index) for place in run.places for index in place.devices]
    if any(len(nodes[node_id].devices[index].holders) > 1 for node_id, index in held):
        micro = micro * paces.beside_micro // NORMAL_MICRO
    if slow:
        slowest = min((slow.get(one, NORMAL_MICRO) for one in held), default=NORMAL_MICRO)
        micro = micro * slowest // NORMAL_MICRO
    return max(1, micro)
