"""One contract for every probe, and the real one's rules against a stand-in for the binding."""

import types
from collections.abc import Callable
from pathlib import Path

import pytest

from aimass.core.links import NVLINK, Links, Weights, pair_weights
from aimass.nodeagent.probe import Probe, ProbeError, islands, model_name
from aimass.nodeagent.probe_nvml import NvmlProbe, ask_nvml
from aimass.nodeagent.probe_simulated import SimulatedProbe
from tests.policies.boxes import BOXES, CUBE_MESH, SOCKETS


@pytest.fixture(params=["simulated", "nvml"])
def probe(request: pytest.FixtureRequest) -> Probe:
    """Give each probe that works on this machine."""
    if request.param == "simulated":
        return SimulatedProbe("2xH100-SXM5-80GB+1xL4-24GB", "n1")
    nvml = NvmlProbe()
    try:
        nvml.devices()
    except ProbeError as error:
        pytest.skip(f"no NVML here: {error}")
    return nvml


class TestEveryProbe:
    """What the agent relies on."""

    def test_lists_the_same_devices_each_time(self, probe: Probe) -> None:
        assert probe.devices() == probe.devices()

    def test_names_each_device_once(self, probe: Probe) -> None:
        devices = probe.devices().devices
        assert len({device.uuid for device in devices}) == len(devices)
        assert len({device.index for device in devices}) == len(devices)

    def test_healthy_devices_have_a_model_and_memory(self, probe: Probe) -> None:
        for device in probe.devices().devices:
            assert device.is_healthy is not bool(device.health_detail)
            if device.is_healthy:
                assert device.memory_mib > 0
                assert device.model == model_name(device.model)
                assert device.uuid.startswith("GPU-")

    def test_an_island_has_at_least_two_devices(self, probe: Probe) -> None:
        numbers = [d.island for d in probe.devices().devices if d.island >= 0]
        assert all(numbers.count(number) >= 2 for number in numbers)


def test_simulated_devices_follow_their_spec() -> None:
    """Model, memory and NVLink by the name; ids by node, so that two nodes differ."""
    devices = SimulatedProbe("2xH100-SXM5-80GB+1xL4-24GB", "n1").devices().devices
    assert [(d.model, d.memory_mib, d.island) for d in devices] == [
        ("H100-SXM5-80GB", 81920, 0),
        ("H100-SXM5-80GB", 81920, 0),
        ("L4-24GB", 24576, -1),
    ]
    other = SimulatedProbe("2xH100-SXM5-80GB+1xL4-24GB", "n2").devices().devices
    assert not {d.uuid for d in devices} & {d.uuid for d in other}
    assert SimulatedProbe("0xNONE", "n1").devices().devices == ()


@pytest.mark.parametrize("spec", ["", "H100", "x", "2xH100,3xA100", "-1xA", "9999999999xA100"])
def test_a_spec_that_makes_no_sense_is_refused(spec: str) -> None:
    """With the form that would."""
    with pytest.raises(ProbeError, match=r"COUNTxMODEL|more than 64"):
        SimulatedProbe(spec, "n1")


@pytest.mark.parametrize(
    ("product", "model"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-80GB-HBM3"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("Tesla V100-SXM2-16GB", "V100-SXM2-16GB"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA", "unknown"),
    ],
)
def test_models_are_one_word_without_the_vendor(product: str, model: str) -> None:
    """What NVML says, as job files write it."""
    assert model_name(product) == model


def test_islands_are_what_links_join() -> None:
    """Links carry on from device to device; one alone is no island."""
    assert islands(6, [(4, 5), (0, 2), (2, 3)]) == [0, -1, 0, 0, 1, 1]
    assert islands(0, []) == []


def test_simulated_devices_are_linked_as_their_boards_are() -> None:
    """An NVSwitch joins all alike, eight V100 are a cube mesh, boards of two kinds stay apart."""
    switch = SimulatedProbe("2xA100-SXM4-80GB+1xL4-24GB+2xH100-SXM5-80GB", "n1").devices()
    assert switch.nvlinks == (
        (0, 12, 0, 0, 0),
        (12, 0, 0, 0, 0),
        (0, 0, 0, 0, 0),
        (0, 0, 0, 0, 18),
        (0, 0, 0, 18, 0),
    )
    mesh = SimulatedProbe("8xV100-SXM2-16GB", "n1").devices().nvlinks
    assert [sum(row) for row in mesh] == [6] * 8  # a V100 has six links
    assert mesh == tuple(zip(*mesh, strict=True))
    pcie = SimulatedProbe("4xL4-24GB", "n1").devices()
    assert (pcie.nvlinks, pcie.pcie_switches) == ((), (0, 0, 1, 1))


class FakeNvmlError(Exception):
    """Stands for pynvml.NVMLError."""


SINGLE, MULTIPLE, HOST_BRIDGE, ONE_CPU, SYSTEM = 10, 20, 30, 40, 50  # NVML's common ancestors


def fake_nvml(
    broken: int = -1,
    links: dict[int, list[str]] | None = None,
    *,
    count: int = 4,
    ancestors: Callable[[int, int], int] | None = None,
) -> types.SimpleNamespace:
    """Give a binding with `count` devices.

    links: by device, the buses its NVLinks reach ("off": inactive, "?": nobody knows).
    ancestors: where two devices meet over PCIe; a driver that cannot tell when None.
    """
    links = links or {}

    def ok(answer: Callable[..., object]) -> Callable[..., object]:
        def call(handle: int, *args: object, **_: object) -> object:
            if handle == broken:
                raise FakeNvmlError("GPU is lost")
            return answer(handle, *args)

        return call

    def link_state(handle: int, link: int) -> int:
        if link >= len(links.get(handle, [])):
            raise FakeNvmlError("Not Supported")
        return int(links[handle][link] != "off")

    def remote(handle: int, link: int) -> types.SimpleNamespace:
        if links[handle][link] == "?":
            raise FakeNvmlError("Unknown Error")
        return types.SimpleNamespace(busId=links[handle][link].encode())

    def common_ancestor(handle: int, other: int) -> int:
        if ancestors is None:
            raise FakeNvmlError("Not Supported")
        return ancestors(handle, other)

    def bus(handle: int) -> str:
        return f"00000000:{handle:02X}:00.0"

    return types.SimpleNamespace(
        NVMLError=FakeNvmlError,
        NVML_NVLINK_MAX_LINKS=18,
        NVML_NVLINK_DEVICE_TYPE_SWITCH=2,
        nvmlMemory_v2=2,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        NVML_TOPOLOGY_SINGLE=SINGLE,
        NVML_TOPOLOGY_MULTIPLE=MULTIPLE,
        nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=ok(lambda handle: handle),
        nvmlDeviceGetUUID=ok(lambda handle: f"GPU-{handle}abc"),
        nvmlDeviceGetPciInfo=ok(lambda handle: types.SimpleNamespace(busId=bus(handle))),
        nvmlDeviceGetName=ok(lambda handle: b"NVIDIA H200"),
        nvmlDeviceGetMemoryInfo=ok(lambda handle: types.SimpleNamespace(total=143771 << 20)),
        nvmlSystemGetDriverVersion=lambda: "580.65",
        nvmlSystemGetCudaDriverVersion_v2=lambda: 13010,
        nvmlDeviceGetNvLinkState=ok(link_state),
        nvmlDeviceGetNvLinkRemoteDeviceType=ok(
            lambda handle, link: 2 if links[handle][link] == "switch" else 0
        ),
        nvmlDeviceGetNvLinkRemotePciInfo=ok(remote),
        nvmlDeviceGetTopologyCommonAncestor=ok(common_ancestor),
    )


def test_one_lost_gpu_hides_no_other() -> None:
    """It is listed by its index, unhealthy, with what the driver said."""
    probed = ask_nvml(fake_nvml(broken=2), None)
    assert [device.is_healthy for device in probed.devices] == [True, True, False, True]
    assert probed.devices[2].health_detail == "GPU is lost"
    assert (probed.driver_version, probed.cuda_version) == ("580.65", "13.1")
    first = probed.devices[0]
    assert (first.uuid, first.model, first.memory_mib) == ("GPU-0abc", "H200", 143771)


def test_nvlink_makes_islands_directly_or_through_a_switch() -> None:
    """A pair by its peer's bus, any number by the switch; a GPU without links stays alone."""
    pair = {0: ["00000000:01:00.0"] * 4, 1: ["00000000:00:00.0"] * 4}
    assert [d.island for d in ask_nvml(fake_nvml(links=pair), None).devices] == [0, 0, -1, -1]
    switch = {handle: ["switch"] * 18 for handle in range(4)}
    assert [d.island for d in ask_nvml(fake_nvml(links=switch), None).devices] == [0] * 4


def test_nvlinks_are_counted_as_each_device_sees_them() -> None:
    """A link that only one end sees, and a device with fewer links to the switch."""
    bus = "00000000:0{}:00.0".format
    seen = {0: [bus(1)] * 2 + [bus(2)], 1: [bus(0)] * 2, 2: []}
    probed = ask_nvml(fake_nvml(links=seen), None)
    assert probed.nvlinks == ((0, 2, 1, 0), (2, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    assert [d.island for d in probed.devices] == [0, 0, -1, -1]
    switch = {0: ["switch"] * 18, 1: ["switch"] * 17, 3: ["switch"] * 18}
    rows = ask_nvml(fake_nvml(links=switch), None).nvlinks
    assert rows == ((0, 18, 0, 18), (17, 0, 0, 17), (0, 0, 0, 0), (18, 18, 0, 0))
    assert ask_nvml(fake_nvml(links=switch), "0,3").nvlinks == ((0, 18), (18, 0))
    assert ask_nvml(fake_nvml(), None).nvlinks == ()


def weights_of(nvml: types.SimpleNamespace) -> Weights:
    """What the scheduler makes of a box of two sockets with four devices each."""
    probed = ask_nvml(nvml, None)
    numbers = [device.island for device in probed.devices]
    return pair_weights(numbers, SOCKETS, Links(probed.nvlinks, probed.pcie_switches))


def two_to_a_switch(one: int, other: int) -> int:
    """Two sockets, two switches on each, two devices under each."""
    return SINGLE if one // 2 == other // 2 else ONE_CPU if one // 4 == other // 4 else SYSTEM


def test_devices_without_nvlink_are_grouped_by_their_pcie_switch() -> None:
    """Each two of them; below one host bridge or on one CPU they share none."""
    pcie = fake_nvml(count=8, ancestors=two_to_a_switch)
    assert ask_nvml(pcie, None).pcie_switches == (0, 0, 1, 1, 2, 2, 3, 3)
    assert weights_of(pcie) == BOXES["pcie"]
    assert ask_nvml(pcie, "0,3,2").pcie_switches == (-1, 0, 0)
    bridge = fake_nvml(count=8, ancestors=lambda one, other: HOST_BRIDGE)
    assert ask_nvml(bridge, None).pcie_switches == ()


def test_nvlinks_go_before_the_pcie_of_the_same_box() -> None:
    """An HGX board and a DGX-1, both with two devices under each switch."""
    hgx = fake_nvml(
        links={i: ["switch"] * 18 for i in range(8)}, count=8, ancestors=two_to_a_switch
    )
    assert {w for row in weights_of(hgx) for w in row} == {0, 18 * NVLINK}
    mesh = {
        i: [f"00000000:0{j}:00.0" for j in range(8) for _ in range(row[j])]
        for i, row in enumerate(CUBE_MESH.nvlinks)
    }
    assert (
        weights_of(fake_nvml(links=mesh, count=8, ancestors=two_to_a_switch))
        == (BOXES["cube-mesh"])
    )


def test_a_link_that_is_down_or_says_nothing_hides_no_other() -> None:
    """It is not counted, at its end; the scheduler takes the worse of both."""
    bus = "00000000:0{}:00.0".format
    seen = {0: ["off", bus(1), "?", bus(1)], 1: [bus(0)] * 3}
    probed = ask_nvml(fake_nvml(links=seen, count=2), None)
    assert probed.nvlinks == ((0, 2), (3, 0))


def test_one_chip_that_shows_itself_as_several_switches_is_one() -> None:
    """Each device sees its own bridge; nobody is nearer, and no CPU is on the way."""
    split = fake_nvml(
        count=8, ancestors=lambda one, other: MULTIPLE if one // 4 == other // 4 else SYSTEM
    )
    assert ask_nvml(split, None).pcie_switches == (0, 0, 0, 0, 1, 1, 1, 1)
    chained = fake_nvml(
        count=8, ancestors=lambda one, other: SINGLE if one // 2 == other // 2 else MULTIPLE
    )
    assert ask_nvml(chained, None).pcie_switches == (0, 0, 1, 1, 2, 2, 3, 3)


def test_a_driver_that_cannot_tell_the_way_over_pcie_says_nothing_of_it() -> None:
    """Neither does a lost device."""
    assert ask_nvml(fake_nvml(), None).pcie_switches == ()
    lost = fake_nvml(broken=1, count=8, ancestors=two_to_a_switch)
    assert ask_nvml(lost, None).pcie_switches == (-1, -1, 0, 0, 1, 1, 2, 2)


@pytest.mark.parametrize(
    ("visible", "indexes"),
    [(None, [0, 1, 2, 3]), ("", []), ("1,3", [1, 3]), ("GPU-2abc", [2]), ("GPU-2", [2])],
)
def test_an_inherited_mask_is_respected(visible: str | None, indexes: list[int]) -> None:
    """An agent inside somebody else's allocation offers what it was given."""
    assert [d.index for d in ask_nvml(fake_nvml(), visible).devices] == indexes


def test_a_driver_that_hangs_is_given_up_at_the_deadline() -> None:
    """The probe process is killed; the agent's own process never waited inside the driver."""
    with pytest.raises(ProbeError, match="did not answer within 0 s"):
        NvmlProbe(deadline_s=0).devices()


def test_files_in_the_agents_folder_shadow_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this machine's driver says, it is the driver's answer and not theirs."""
    (tmp_path / "subprocess.py").write_text("import sys\nsys.exit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    said = ""
    try:
        NvmlProbe().devices()
    except ProbeError as error:  # no driver here, say
        said = str(error)
    assert "shadowed" not in said
