"""Nodes whose devices are joined in the ways that there are, as agents report them."""

from aimass.core.links import Links, Weights, pair_weights
from aimass.policies.device_sets import DeviceSets

SOCKETS = (0, 0, 0, 0, 1, 1, 1, 1)
ALONE = (-1,) * 8

# NVLinks of an NVIDIA DGX-1 with V100, as `nvidia-smi topo -m` shows them.
CUBE_MESH = Links(
    (
        (0, 1, 1, 2, 2, 0, 0, 0),
        (1, 0, 2, 1, 0, 2, 0, 0),
        (1, 2, 0, 2, 0, 0, 1, 0),
        (2, 1, 2, 0, 0, 0, 0, 1),
        (2, 0, 0, 0, 0, 1, 1, 2),
        (0, 2, 0, 0, 1, 0, 2, 1),
        (0, 0, 1, 0, 1, 2, 0, 2),
        (0, 0, 0, 1, 2, 1, 2, 0),
    )
)
SWITCHES = Links(pcie_switches=(0, 0, 1, 1, 2, 2, 3, 3))

# HGX with one NVSwitch for all; DGX-1; PCIe alone, two sockets of two switches each.
BOXES: dict[str, Weights] = {
    "hgx": pair_weights((0,) * 8, SOCKETS, None),
    "cube-mesh": pair_weights((0,) * 8, SOCKETS, CUBE_MESH),
    "pcie": pair_weights(ALONE, SOCKETS, SWITCHES),
}


def sets_of_box(name: str) -> DeviceSets:
    """What chooses among the devices of one of the boxes."""
    return DeviceSets(BOXES[name], SOCKETS)
