"""massctl nodes: what it shows of one node, its devices and how they are joined."""

import json

import pytest

from aimass.core.links import CPU, NVLINK, SWITCH, SYSTEM, Links, pair_weights
from aimass.node_screen import link_texts
from aimass.v1 import node_pb2
from tests.client.conftest import Massctl
from tests.client.fake_scheduler import FakeScheduler
from tests.policies.boxes import ALONE, CUBE_MESH, SOCKETS, SWITCHES

N1 = """\
n1
  GPU  MODEL   MEMORY  HEALTH       USED  JOBS  NUMA  ISLAND  0       1       2
    0  H100   80.0GiB  ok              0  -        0       0  x       NV2     switch
    1  H100   80.0GiB  ok            0.5  j1       0       0  NV2     x       switch
    2  H100   80.0GiB  GPU is lost     0  -        0       -  switch  switch  x
  NV4: four NVLinks, switch: one PCIe switch, cpu: one NUMA node, across: two of them
"""


def a_node(islands: tuple[int, ...], links: Links | None, name: str = "n1") -> node_pb2.Node:
    """A node of two sockets."""
    inventory = node_pb2.Inventory(
        devices=[
            node_pb2.Device(
                index=i, model="H100", memory_mib=81920, island=island, numa_node=numa, healthy=True
            )
            for i, (island, numa) in enumerate(zip(islands, SOCKETS, strict=False))
        ]
    )
    if links is not None:
        for row in links.nvlinks:
            inventory.links.nvlinks.add(counts=row)
        inventory.links.pcie_switches.extend(links.pcie_switches)
    return node_pb2.Node(id=name, state=node_pb2.NODE_STATE_READY, inventory=inventory)


def test_a_named_node_shows_its_devices_and_what_joins_them(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    """One end of the pair has lost two links; the third device has none, under their switch."""
    node = a_node((0, 0, -1), Links(((0, 4, 0), (2, 0, 0), (0, 0, 0)), (0, 0, 0)))
    node.inventory.devices[1].used_milli = 500
    node.inventory.devices[1].jobs.append("j1")
    node.inventory.devices[2].healthy = False
    node.inventory.devices[2].health_detail = "GPU is lost"
    fake.nodes = [node, a_node((), None, "n2")]
    shown = massctl("nodes", "n1").stdout.decode()
    assert shown.partition("\n\n")[2] == N1
    assert b"n2 has no GPUs" in massctl("nodes", "n2").stdout
    assert len(massctl("nodes").stdout.splitlines()) == 3


def test_links_are_part_of_the_document(massctl: Massctl, fake: FakeScheduler) -> None:
    """As reported, both directions; null where nothing was."""
    fake.nodes = [
        a_node((0, 0), Links(((0, 4), (2, 0)), (0, -1))),
        a_node((0, 0), None, "n2"),
    ]
    first, second = json.loads(massctl("nodes", "-o", "json").stdout)["items"]
    assert first["links"] == {"nvlinks": [[0, 4], [2, 0]], "pcieSwitches": [0, -1]}
    assert second["links"] is None
    assert [(d["island"], d["numaNode"]) for d in second["devices"]] == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("islands", "links"),
    [
        ((0,) * 8, CUBE_MESH),
        (ALONE, SWITCHES),
        ((0,) * 4 + (-1,) * 4, None),
        ((0,) * 8, Links(((0, 3, 1), (2,)), (0, 0, 1, 1))),
    ],
)
def test_what_people_see_is_what_the_scheduler_weighs(
    islands: tuple[int, ...], links: Links | None
) -> None:
    """Each word stands for one weight, on all kinds of boxes and after half a report."""
    words = {SWITCH: "switch", CPU: "cpu", SYSTEM: "across", 0: ""}

    def word(weight: int) -> str:
        return words[weight] if weight < NVLINK else f"NV{weight // NVLINK if links else ''}"

    weighed = [[word(weight) for weight in row] for row in pair_weights(islands, SOCKETS, links)]
    assert link_texts(a_node(islands, links).inventory) == weighed
