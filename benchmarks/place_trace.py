"""A cluster and pods to place: openb where its files are beside the repository, else generated."""

from aimass.core.shapes import Shape
from aimass.policies.pack_policies import Stream
from aimass.simulator.pack_files import PackNode, PackPod, read_nodes, read_pods
from benchmarks.daemons import ROOT

OPENB = ROOT.parent / "shared" / "traces" / "openb"
# Of a hundred nodes: how many, then what each has.
KINDS = (
    (45, 96_000, 393_216, 8, "G2"),
    (32, 104_000, 524_288, 2, "T4"),
    (11, 16_000, 122_880, 2, "P100"),
    (4, 128_000, 786_432, 8, "G3"),
    (4, 32_000, 131_072, 4, "V100M16"),
    (4, 96_000, 786_432, 8, "V100M32"),
)
# Of a thousand pods: how many, then what each asks for.
ASKS = (
    (130, Shape(12_500, 32_768, 0, 0, ())),
    (130, Shape(3_152, 12_288, 1, 810, ())),
    (90, Shape(8_000, 16_384, 1, 470, ())),
    (40, Shape(4_000, 12_288, 1, 320, ())),
    (30, Shape(11_908, 32_768, 1, 650, ())),
    (20, Shape(4_000, 8_192, 1, 230, ())),
    (60, Shape(3_152, 12_288, 1, 1000, ())),
    (300, Shape(11_400, 49_152, 1, 1000, ())),
    (100, Shape(18_708, 65_536, 1, 1000, ())),
    (60, Shape(8_000, 32_768, 1, 1000, ("T4",))),
    (20, Shape(8_000, 32_768, 1, 1000, ("V100M16", "V100M32"))),
    (8, Shape(16_200, 65_536, 2, 1000, ())),
    (6, Shape(32_200, 131_072, 4, 1000, ())),
    (5, Shape(64_200, 263_168, 8, 1000, ())),
    (1, Shape(120_000, 640_000, 8, 1000, ())),
)


def cluster_and_pods() -> tuple[list[PackNode], list[PackPod]]:
    """Give openb's, or 1,200 nodes and 8,000 pods that were generated."""
    if OPENB.exists():
        nodes = read_nodes(OPENB / "openb_node_list_gpu_node.csv.gz")
        return nodes, read_pods(OPENB / "openb_pod_list_default.csv.gz")
    return generated_nodes(1200), generated_pods(8000)


def generated_nodes(count: int) -> list[PackNode]:
    """Give nodes of the kinds above, in turn."""
    hundred = [kind[1:] for kind in KINDS for _ in range(kind[0])]
    spread = [hundred[at * 37 % 100] for at in range(100)]
    return [PackNode(f"n{at:06}", *spread[at % 100]) for at in range(count)]


def generated_pods(count: int, seed: int = 1) -> list[PackPod]:
    """Give pods drawn from the asks above."""
    thousand = [shape for share, shape in ASKS for _ in range(share)]
    stream = Stream(seed)
    drawn = (thousand[stream.below(1000)] for _ in range(count))
    return [PackPod(f"p{at:06}", shape, -1, -1) for at, shape in enumerate(drawn)]
