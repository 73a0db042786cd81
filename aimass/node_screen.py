"""The screen of a node that was asked for by name: its devices, and how each two are joined."""

from collections.abc import Sequence

from aimass import tables, units
from aimass.output import Column, clean, table
from aimass.v1 import node_pb2

LEGEND = "NV4: four NVLinks, switch: one PCIe switch, cpu: one NUMA node, across: two of them"


def link_texts(inventory: node_pb2.Inventory) -> list[list[str]]:
    """Give for each device what joins it to each, in a word; "" to itself. O(d²).

    As the scheduler weighs it: of the NVLinks that the two ends count the fewer; where they are not
    counted, the island ("NV").
    """
    devices, links = inventory.devices, inventory.links
    counts = [list(row.counts) for row in links.nvlinks]
    switches = dict(enumerate(links.pcie_switches))

    def seen(i: int, j: int) -> int:
        return counts[i][j] if i < len(counts) and j < len(counts[i]) else 0

    def text(i: int, j: int) -> str:
        one, other = devices[i], devices[j]
        if i == j:
            return ""
        if counts:
            nvlinks = min(seen(i, j), seen(j, i))
            if nvlinks > 0:
                return f"NV{nvlinks}"
        elif one.island == other.island >= 0:
            return "NV"
        if switches.get(i, -1) == switches.get(j, -1) >= 0:
            return "switch"
        return "cpu" if one.numa_node == other.numa_node else "across"

    return [[text(i, j) for j in range(len(devices))] for i in range(len(devices))]


def node_screen(node: node_pb2.Node, colour: str) -> str:
    """Lay out a node's devices with a column for the links to each."""
    devices = node.inventory.devices
    if not devices:
        return f"{clean(node.id)} has no GPUs\n"
    texts = link_texts(node.inventory)
    rows = list(zip(devices, texts, strict=True))
    lines = table(rows, [*_COLUMNS, *map(_to, range(len(devices)))], colour=colour)
    legend = [f"  {LEGEND}\n"] if len(devices) > 1 else []
    return "".join([f"{clean(node.id)}\n", *(f"  {line}" for line in lines), *legend])


Row = tuple[node_pb2.Device, list[str]]

_COLUMNS: Sequence[Column[Row]] = (
    Column("GPU", lambda row: str(row[0].index), is_right=True),
    Column("MODEL", lambda row: row[0].model),
    Column("MEMORY", lambda row: units.memory_short(row[0].memory_mib), is_right=True),
    Column("HEALTH", lambda row: "ok" if row[0].healthy else row[0].health_detail or "failed"),
    Column("USED", lambda row: f"{units.number(row[0].used_milli)}", is_right=True),
    Column("JOBS", lambda row: tables.some(list(row[0].jobs))),
    Column("NUMA", lambda row: _number(row[0].numa_node), is_right=True),
    Column("ISLAND", lambda row: _number(row[0].island), is_right=True),
)


def _to(index: int) -> Column[Row]:
    return Column(str(index), lambda row: row[1][index] or "x")


def _number(number: int) -> str:
    return str(number) if number >= 0 else ""
