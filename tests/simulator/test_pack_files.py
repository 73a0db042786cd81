"""Cluster and pod files: read whole and exactly, or refused with the line and what to do."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.shapes import Shape
from aimass.simulator.pack_files import (
    LINE_BYTES_MAX,
    NO_TIME_MS,
    FileProblem,
    PackNode,
    PackPod,
    read_nodes,
    read_pods,
)
from tests.house.tree import ROOT

OPENB = ROOT.parent / "shared" / "traces" / "openb"
NODES = """sn,cpu_milli,memory_mib,gpu,model
a,96000,393216,8,G2
b,16000,122880,2,P100
c,32000,262144,0,
"""
PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time
p,12000,16384,1,1000,,0,12537496
q,6000,12288,1,460,P100|G2|P100,427061,427061.5
r,1000,2048,0,0,,7,8
"""


def written(folder: Path, text: str | bytes, name: str = "file.csv") -> Path:
    """Write a file and give its path."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problem(read: Callable[[], object]) -> FileProblem:
    """Give the refusal, whose text always names file, line and fix."""
    with pytest.raises(FileProblem) as caught:
        read()
    found = caught.value
    assert str(found) == f"{found.path}:{found.line}: {found.what}; fix: {found.fix}"
    return found


def test_nodes_and_pods_come_back_as_they_are_written(tmp_path: Path) -> None:
    """A model that is named twice counts once; a time in seconds becomes ms."""
    nodes = read_nodes(written(tmp_path, NODES))
    assert nodes == [
        PackNode("a", 96000, 393216, 8, "G2"),
        PackNode("b", 16000, 122880, 2, "P100"),
        PackNode("c", 32000, 262144, 0, ""),
    ]
    assert read_pods(written(tmp_path, PODS), nodes) == [
        PackPod("p", Shape(12000, 16384, 1, 1000, ()), 0, 12537496000),
        PackPod("q", Shape(6000, 12288, 1, 460, ("G2", "P100")), 427061000, 427061500),
        PackPod("r", Shape(1000, 2048, 0, 0, ()), 7000, 8000),
    ]


def test_a_file_with_five_columns_in_any_order_has_no_times(tmp_path: Path) -> None:
    """As multigpu20; columns that we do not know are nobody's business."""
    text = "qos,gpu_milli,num_gpu,name,memory_mib,cpu_milli\nLS,1000,8,p,4,3\n"
    pod = PackPod("p", Shape(3, 4, 8, 1000, ()), NO_TIME_MS, NO_TIME_MS)
    assert read_pods(written(tmp_path, text)) == [pod]


@pytest.mark.parametrize(
    "same",
    [
        gzip.compress(PODS.encode()),
        gzip.compress(PODS[:90].encode()) + gzip.compress(PODS[90:].encode()),
        b"\xef\xbb\xbf" + PODS.encode(),
        PODS.replace("\n", "\r\n").encode(),
        PODS.removesuffix("\n").encode(),
        PODS.replace("\n", "\n\n").encode(),
        PODS.replace(",", " , ").encode(),
        PODS.replace("460", '"460"').encode(),
    ],
    ids=["gzip", "two members", "BOM", "CRLF", "no last newline", "blank", "spaces", "quotes"],
)
def test_other_ways_to_write_the_same_read_the_same(tmp_path: Path, same: bytes) -> None:
    """What programs do to CSV files without meaning anything by it."""
    assert read_pods(written(tmp_path, same)) == read_pods(written(tmp_path, PODS))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "empty"),
        (NODES[: NODES.index("\n") + 1], 1, "no rows"),
        (NODES.replace("cpu_milli,", "cpu,").replace("gpu,", "gpus,"), 1, "cpu_milli, gpu"),
        (NODES.replace("sn,", "sn,sn,").replace("\n", "\nx,"), 1, "twice"),
        (NODES.replace("8,G2", "-8,G2"), 2, "gpu is '-8'"),
        (NODES.replace("8,G2", "8.0,G2"), 2, "gpu is '8.0'"),
        (NODES.replace("8,G2", "9,G2"), 2, "gpu is '9'"),
        (NODES.replace("96000", "lots"), 2, "cpu_milli is 'lots'"),
        (NODES.replace("96000", ""), 2, "cpu_milli is ''"),
        (NODES.replace("96000", "9" * 500), 2, "cpu_milli is '9"),
        (NODES.replace("96000", "1_000"), 2, "1_000"),
        (NODES.replace("96000", "٣"), 2, "٣"),
        (NODES.replace("122880", "1e5"), 3, "memory_mib"),
        (NODES.replace("\nb,", "\n,"), 3, "sn is empty"),
        (NODES.replace("\nc,", "\na,"), 4, "on line 2 already"),
        (NODES.replace("8,G2", "0,G2").replace("2,P100", "0,P100"), 1, "no node has a GPU"),
        (NODES.replace("P100", "P100,"), 3, "6 fields below a header of 5"),
        (NODES.replace("2,P100", "2"), 3, "4 fields"),
        (NODES.replace("P100", "P1\x0000"), 3, r"control character '\x00'"),
        (NODES.replace("\n", "\r"), 1, "control character"),
        (NODES.replace("P100", '"P100'), 3, "quotes"),
        (NODES.encode("utf-16"), 1, "UTF-8"),
        (NODES.replace("P100", "Größe").encode("latin-1"), 3, "UTF-8"),
        (NODES.replace("P100", "P" * LINE_BYTES_MAX), 3, "longer"),
    ],
)
def test_a_broken_cluster_is_refused_at_its_line(
    tmp_path: Path, text: str | bytes, line: int, what: str
) -> None:
    """Every way in which a node list has been seen to be wrong."""
    path = written(tmp_path, text)
    found = problem(lambda: read_nodes(path))
    assert (found.path, found.line) == (path, line)
    assert what in found.what


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("1,1000,,", "1,1001,,", 2, "gpu_milli is '1001'"),
        ("1,1000,,", "1,0,,", 2, "gpu_milli is 0"),
        ("1,460", "2,460", 3, "of each of 2 GPUs"),
        ("0,0,,", "0,500,,", 4, "500 gpu_milli of no GPU"),
        ("1,460", "-1,460", 3, "num_gpu is '-1'"),
        ("1,460", "0.5,460", 3, "num_gpu is '0.5'"),
        ("P100|G2", "P100||G2", 3, "gpu_spec is"),
        ("427061.5", "427060", 3, "before"),
        ("427061.5", "never", 3, "deletion_time is 'never'"),
        ("427061.5", "-1", 3, "deletion_time is '-1'"),
        ("P100|G2", "P100|H100", 3, "model 'H100'"),
        ("1,1000,,", "9,1000,,", 2, "num_gpu is '9'"),
        ("12000", "96001", 2, "pod 'p' is larger than any node"),
        ("16384", "393217", 2, "pod 'p' is larger than any node"),
        ("\np,", "\n,", 2, "name is empty"),
        ("\nr,", "\np,", 4, "pod 'p' is on line 2 already"),
    ],
)
def test_a_broken_pod_is_refused_at_its_line(
    tmp_path: Path, old: str, new: str, line: int, what: str
) -> None:
    """Also one that is fine by itself but that this cluster could never run."""
    nodes = read_nodes(written(tmp_path, NODES))
    path = written(tmp_path, PODS.replace(old, new, 1))
    found = problem(lambda: read_pods(path, nodes))
    assert found.line == line
    assert what in found.what


def test_pods_pass_without_a_cluster_and_when_only_their_models_are_too_small(
    tmp_path: Path,
) -> None:
    """gpuspec10 has two such pods; every policy drops them."""
    nodes = read_nodes(written(tmp_path, NODES))
    for text in (PODS.replace("6000", "96001"), PODS.replace("P100|G2", "H100")):
        assert len(read_pods(written(tmp_path, text))) == 3
    eight_p100 = PODS.replace("1,460,P100|G2|P100", "8,1000,P100")
    assert read_pods(written(tmp_path, eight_p100), nodes)[1].shape.models == ("P100",)


@pytest.mark.parametrize("keep", [2, 9, 12, 60, 100, -9, -8, -1])
def test_a_truncated_gzip_gives_nothing(tmp_path: Path, keep: int) -> None:
    """Cut in the header, the data or the checksum."""
    whole = gzip.compress(PODS.encode(), mtime=0)
    path = written(tmp_path, whole[:keep], "pods.csv.gz")
    found = problem(lambda: read_pods(path))
    assert "gzip" in found.what
    assert "copy the file again" in found.fix


def test_a_damaged_gzip_gives_nothing(tmp_path: Path) -> None:
    """Any flipped bit is found by gzip's checksum at the latest; or it is one of no consequence."""
    pods = read_pods(written(tmp_path, PODS))
    whole = gzip.compress(PODS.encode(), mtime=0)
    refused = 0
    for place in range(len(whole)):
        damaged = bytes([*whole[:place], whole[place] ^ 0x10, *whole[place + 1 :]])
        try:
            assert read_pods(written(tmp_path, damaged)) == pods, place
        except FileProblem:
            refused += 1
    assert refused >= len(whole) - 8  # times and such in gzip's own header


def test_a_file_that_is_only_named_gz_is_refused(tmp_path: Path) -> None:
    """Its first line would read well, and yet something went wrong on its way here."""
    found = problem(lambda: read_nodes(written(tmp_path, NODES, "nodes.csv.gz")))
    assert (found.line, "named .gz" in found.what) == (1, True)


def test_equal_shapes_are_one_object_and_lines_are_not_kept(tmp_path: Path) -> None:
    """10 MB of rows with a wide column of no interest: memory is that of the pods alone."""
    header = PODS.partition("\n")[0]
    row = ",12000,16384,1,1000,,0,12537496," + "x" * 2000
    path = written(tmp_path, f"{header},qos\n" + "".join(f"p{i}{row}\n" for i in range(5000)))
    tracemalloc.start()
    pods = read_pods(path)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len({id(pod.shape) for pod in pods}) == 1
    assert most_bytes < 4_000_000


@pytest.mark.skipif(not OPENB.exists(), reason="the openb traces are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "pods", "demand_pct", "has_times"),
    [
        ("default", 8152, 97.98, True),
        ("cpu050", 7439, 97.98, True),
        ("gpushare40", 8152, 90.81, True),
        ("gpuspec10", 8152, 97.98, True),
        ("multigpu20", 8324, 114.08, False),
    ],
)
def test_the_published_lists_are_read_whole(
    name: str, pods: int, demand_pct: float, has_times: bool
) -> None:
    """Pods and GPU demand as published, each list for the cluster that it was made for."""
    nodes = read_nodes(OPENB / "openb_node_list_gpu_node.csv.gz")
    found = read_pods(OPENB / f"openb_pod_list_{name}.csv.gz", nodes)
    capacity = 1000 * sum(node.gpus for node in nodes)
    assert (len(nodes), capacity, len(found)) == (1213, 6_212_000, pods)
    demand = sum(pod.shape.total_milli for pod in found)
    assert round(100 * demand / capacity, 2) == demand_pct
    assert all((pod.created_ms != NO_TIME_MS) == has_times for pod in found)


cpus, memories = st.integers(0, 2**27), st.integers(0, 10**12)
names = st.text("abc-09", min_size=1, max_size=6)


@st.composite
def pod_rows(draw: st.DrawFn) -> list[str]:
    """One correct row: name, CPU, memory, GPUs, milli, models."""
    gpus = draw(st.integers(0, 8))
    milli = 0 if gpus == 0 else 1000 if gpus > 1 else draw(st.integers(1, 1000))
    models = "|".join(draw(st.lists(st.sampled_from(["A", "B", "V100"]), max_size=3)))
    amounts = (draw(cpus), draw(memories), gpus, milli)
    return [draw(names), *(str(amount) for amount in amounts), models]


POD_ROWS = st.lists(pod_rows(), min_size=1, max_size=6, unique_by=lambda row: row[0])
HEADER = ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"]
HARMFUL = ["-1", "1.5", "x", "", "0x10", "1" * 20, "\x00", '"', "1,1", "NaN", "\u0661"]


def pods_of(rows: list[list[str]]) -> list[PackPod]:
    """Say what rows mean, apart from the reader."""
    return [
        PackPod(
            name,
            Shape(int(cpu), int(mib), int(gpus), int(milli), tuple(sorted({*models.split("|")}))),
            NO_TIME_MS,
            NO_TIME_MS,
        )
        if models
        else PackPod(name, Shape(int(cpu), int(mib), int(gpus), int(milli), ()), -1, -1)
        for name, cpu, mib, gpus, milli, models in rows
    ]


@given(
    rows=POD_ROWS,
    order=st.permutations(range(6)),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
    is_packed=st.booleans(),
)
def test_whatever_is_valid_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    order: list[int],
    end: str,
    is_packed: bool,
) -> None:
    """In any order of columns, with any ends of lines, packed or not."""
    text = end.join(",".join(row[i] for i in order) for row in [HEADER, *rows]).encode()
    data = gzip.compress(text) if is_packed else text
    assert read_pods(written(tmp_path_factory.getbasetemp(), data)) == pods_of(rows)


@given(
    rows=POD_ROWS,
    place=st.tuples(st.integers(0, 5), st.integers(1, 4)),
    harm=st.sampled_from(HARMFUL),
    is_packed=st.booleans(),
)
def test_one_harmful_field_is_refused_at_its_line(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    place: tuple[int, int],
    harm: str,
    is_packed: bool,
) -> None:
    """Wherever it stands; and no other line is blamed."""
    row, column = place[0] % len(rows), place[1]
    bent = [list(fields) for fields in rows]
    bent[row][column] = harm
    text = "\n".join(",".join(fields) for fields in [HEADER, *bent]).encode()
    path = written(
        tmp_path_factory.getbasetemp(), gzip.compress(text) if is_packed else text, "bent.csv"
    )
    assert problem(lambda: read_pods(path)).line == row + 2


@given(data=st.binary(max_size=200), at=st.integers(0, len(PODS)))
def test_whatever_bytes_come_reading_ends_with_pods_or_a_problem(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    """Random bytes in the middle of a good file: never another exception, never an unsafe value."""
    text = PODS.encode()
    path = written(tmp_path_factory.getbasetemp(), text[:at] + data + text[at:], "noise.csv")
    try:
        line, pods = 1, read_pods(path)
    except FileProblem as refused:
        line, pods = refused.line, []
    assert 1 <= line <= (text + data).count(b"\n") + 1
    assert all(pod.name and pod.shape.cpu_milli >= 0 for pod in pods)
