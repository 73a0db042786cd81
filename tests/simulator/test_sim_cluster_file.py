"""Clusters from a file: what it says is what there is, and what it cannot mean is named."""

import json
from pathlib import Path

import pytest

from aimass.cli import run as massctl
from aimass.cli_sim_cluster import load_cluster, load_failures
from aimass.cli_sim_run import _tools
from aimass.core.model import NodeId
from aimass.errors import InvalidRequest
from aimass.simulator.clusters import NodeKind, registrations
from aimass.simulator.faults import LLAMA3
from aimass.simulator.models import (
    EVEN,
    MEASURED_COSTS,
    MEASURED_PACES,
    PLAIN,
    Change,
    Costs,
    Paces,
    kinds_ever,
    measured,
)

TOOLS = _tools()
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WHOLE = """
levels: [block, rack]
nodes:
  - count: 16
    gpus: 8xH100
    gpuMemory: 80GiB
    nvlink: true
    cpus: 128
    memory: 2TiB
    perRack: 4
    labels: {block: b1}
    price: 2.50
  - 2x4xA100
failures: {like: llama3, programs: 1e-3, gpuRepair: 30m, slowTo: 0.5, lease: 2m}
slowdown: {nodes: 0.6}
changes:
  - {at: 30d, add: [8x8xH100, {gpus: 4xT4, nvlink: 2}], remove: [n16]}
  - {at: 1d, drain: [n0-n3, n9], for: 4h, notice: 1d}
"""


def loaded(tmp_path: Path, text: str) -> object:
    """Load a file of that text."""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return load_cluster(str(path), TOOLS)


def test_a_file_says_all_that_there_is(tmp_path: Path) -> None:
    kinds, models = loaded(tmp_path, WHOLE)  # type: ignore[misc]
    h100 = (128_000, 2 * 1024 * 1024, 81_920, 8, 4, (("block", "b1"),), 2_500_000)
    assert kinds == (NodeKind(16, 8, "H100", *h100), NodeKind(2, 4, "A100"))
    assert models.levels == ("block", "rack")
    assert models.faults == TOOLS.faults.changed(
        LLAMA3,
        {"app_fit": 10**6, "gpu_ms": 1_800_000, "slow_micro": 500_000, "lease_ms": 120_000},
    )
    assert models.paces == Paces(nodes_micro=600_000)
    drained = tuple(NodeId(f"n{at}") for at in (0, 1, 2, 3, 9))
    added = (NodeKind(8, 8, "H100"), NodeKind(1, 4, "T4", island_gpus=2))
    assert models.changes == (
        Change(DAY_MS, drain=drained, drain_ms=4 * HOUR_MS, notice_ms=DAY_MS),
        Change(30 * DAY_MS, added, (NodeId("n16"),), drain_ms=1),
    )
    assert kinds_ever(kinds, models) == (*kinds, *added)
    there = [event.inventory for event in registrations(kinds, 0)]
    assert [node.labels.get("rack") for node in there[:5]] == ["r0-0"] * 4 + ["r0-1"]
    assert (there[0].labels["block"], there[17].labels) == ("b1", {})
    assert [device.island for device in there[0].devices] == [0] * 8
    assert there[17].devices[3].island == -1


def test_a_few_letters_say_nothing_more() -> None:
    kinds, models = load_cluster("2x4xA100", TOOLS)
    assert (kinds, models) == ((NodeKind(2, 4, "A100"),), PLAIN)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nodes: []\n", "no nodes"),
        ("levels: [rack]\n", "no nodes"),
        ("nodes: 8H100\n", "1:8: nodes: '8H100'; allowed: a cluster such as"),
        ("nodes:\n- {count: 0, gpus: 1xA}\n", "2:11: nodes.0.count: '0'; allowed: a whole"),
        ("nodes:\n- {gpus: 200xA}\n", "at most 128 GPUs"),
        ("nodes:\n- {gpus: 8xA, nvlinks: true}\n", "unknown field; allowed: count"),
        ("nodes:\n- {gpus: 8xA, nvlinks: true}\n", "did you mean nvlink?"),
        ("nodes:\n- {gpus: 8xA, price: -1}\n", "nodes.0.price: '-1'; allowed: what a GPU costs"),
        ("nodes:\n- {gpus: 8xA, memory: 12}\n", "nodes.0.memory: '12'; allowed: an amount"),
        ("nodes: 9x8xA\nfailures: lama\n", "allowed: one of none, llama3, or fields"),
        ("nodes: 9x8xA\nfailures: {gpus: 2}\n", "failures.gpus: '2'; allowed: failures of a GPU"),
        ("nodes: 9x8xA\nslowdown: {node: 0.5}\n", "did you mean nodes?"),
        ("nodes: 9x8xA\nslowdown: {nodes: 0}\n", "the part of its speed that is left"),
        ("nodes: 9x8xA\nchanges: {at: 1d}\n", "nothing changes"),
        ("nodes: 9x8xA\nchanges: {at: 30, add: 1x1xA}\n", "changes.at: '30'; allowed: a time"),
        ("nodes: 9x8xA\nchanges: {at: 1d, remove: n9}\n", "no node n9; allowed: nodes that are"),
        ("nodes: 9x8xA\nchanges: {at: 1d, add: 1x1xA, notice: 1h}\n", "notice without drain"),
        ("nodes: 9x8xA\nchanges: {at: 1d, drain: n1}\n", "drain without for"),
        ("nodes: 9x8xA\nchanges: {at: 1d, drain: n3-n1, for: 1h}\n", "names of nodes"),
        ("levels: [block]\nnodes:\n- {gpus: 8xA, perRack: 2}\n", "rack among them"),
        ("nodes: 9x8xA\nnodes: 9x8xA\n", "given twice, first on line 1"),
        ("nodes: 7000x128xA\nchanges: {at: 1d, add: 7000x128xA}\n", "at most 1000000 in all"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        loaded(tmp_path, text)
    assert "c.yaml:" in str(caught.value.why)
    assert told in str(caught.value.why)


def test_nodes_that_join_later_may_be_emptied_and_removed(tmp_path: Path) -> None:
    changes = "nodes: 1x8xA\nchanges:\n- {at: 2d, remove: n1}\n- {at: 1d, add: 1x8xB}\n"
    _, models = loaded(tmp_path, changes)  # type: ignore[misc]
    assert [change.at_ms for change in models.changes] == [DAY_MS, 2 * DAY_MS]


def test_failures_have_a_name_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("{nodes: 1e-6, nodeRepair: 2h}")
    faults = load_failures(str(path), TOOLS)
    assert (faults.node_fit, faults.node_ms, faults.gpu_fit) == (1000, 2 * HOUR_MS, 0)
    assert load_failures("llama3", TOOLS) is LLAMA3
    with pytest.raises(InvalidRequest, match="no failures 'lama'"):
        load_failures("lama", TOOLS)
    with pytest.raises(InvalidRequest, match="cannot read"):
        load_failures("nowhere.yaml", TOOLS)


def test_what_is_measured_fills_in_only_what_nobody_says() -> None:
    own = PLAIN.faults.__class__(gpu_fit=1)
    costs, models = measured(Costs(restart_ms=5), TOOLS.models.Models(faults=own))
    assert (costs.restart_ms, costs.start_ms) == (5, MEASURED_COSTS.start_ms)
    assert (models.faults, models.paces) == (own, MEASURED_PACES)
    _, models = measured(Costs(), TOOLS.models.Models(paces=Paces(racks_micro=1)))
    assert (models.faults, models.paces) == (LLAMA3, Paces(racks_micro=1))
    assert PLAIN.paces == EVEN


def test_a_run_on_such_a_cluster_costs_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = [{"id": n, "submit_s": n * 600, "run_s": 36_000, "gpus": 4} for n in range(1, 6)]
    Path("jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    Path("c.yaml").write_text(
        "nodes:\n- {count: 2, gpus: 8xA, price: 0.5}\n"
        "failures: {like: llama3, gpus: 1e-2}\n"
        "changes:\n- {at: 1h, add: {gpus: 8xA, price: 3}}\n"
    )
    words = ["sim", "run", "--trace", "jobs.jsonl", "--cluster", "c.yaml", "-o", "json"]
    assert massctl(words) == 0
    plain = json.loads(capsys.readouterr().out)
    assert massctl([*words, "--failures", "none"]) == 0
    sound = json.loads(capsys.readouterr().out)
    assert massctl([*words, "--realistic", "--failures", "none"]) == 0
    real = json.loads(capsys.readouterr().out)
    assert plain["finished"] == sound["finished"] == real["finished"] == 5
    assert plain["failures"] > sound["failures"] == 0
    assert plain["gpu_h_down"] > sound["gpu_h_down"] == 0
    assert sound["cost"] == pytest.approx(4 * 10 * (4 * 0.5 + 3))  # the fifth waits for n2
    assert real["jct_mean_s"] == pytest.approx(
        sound["jct_mean_s"] + 10 + 60 * 3 / 5
    )  # one pull a node


def test_the_cluster_in_the_manual_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    _, _, after = page.partition("### A cluster in a file\n\n```yaml\n")
    kinds, models = loaded(tmp_path, after.partition("```")[0])  # type: ignore[misc]
    assert [kind.nodes for kind in kinds] == [16, 16]
    assert models.faults == TOOLS.faults.changed(LLAMA3, {"gpu_fit": 20_000, "gpu_ms": HOUR_MS})
    assert [len(change.remove) for change in models.changes] == [0, 0, 16]
