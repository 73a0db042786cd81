"""Crowd: a few nodes on which jobs come, leave, claim and go, for the properties of placement.

It moves capacity by core/capacity.py alone, without jobs' lives: any mix of holds, leaving shares
and claims that a cluster could show comes up quickly.
"""

from dataclasses import replace

from hypothesis import strategies as st

from aimass.core import capacity
from aimass.core.cluster import Cluster
from aimass.core.draft import Draft
from aimass.core.model import (
    Device,
    DeviceSpec,
    HoldKey,
    Inventory,
    Job,
    JobId,
    Node,
    NodeId,
    NodeState,
    Placement,
)
from aimass.core.policy import Fuel, Placed, Want
from aimass.core.spec import JobSpec, LabelOp, LabelRule, Need, Role, Strategy, Topology
from aimass.policies.registry import make_policy

GIB = 1024
PLACERS = {name: make_policy(place=name).place for name in ("best-fit", "mass")}
LEVELS = ("zone", "rack")
PLENTY = 1_000_000

_models = st.sampled_from(("H100", "H100", "A100"))


@st.composite
def inventories(draw: st.DrawFn, name: str) -> Inventory:
    """Nodes of one or two models, some with failed devices, labels, taints."""
    first, second = draw(_models), draw(_models)
    devices = tuple(
        DeviceSpec(
            f"{name}-{i}",
            first if i < 2 else second,
            draw(st.sampled_from((80, 80, 24))) * GIB,
            healthy=draw(st.integers(0, 9)) > 0,
        )
        for i in range(draw(st.sampled_from((0, 1, 4, 4))))
    )
    labels = {}
    if draw(st.booleans()):
        labels = {"zone": draw(st.sampled_from("ab")), "rack": draw(st.sampled_from("1234"))}
    taints = draw(st.sampled_from(((), (), (), ("gone",), ("team=a", "gone"))))
    cpu_milli = draw(st.sampled_from((4000, 64_000)))
    memory_mib = draw(st.sampled_from((8, 64))) * GIB
    return Inventory(name, name, cpu_milli, memory_mib, devices, labels, taints=taints)


@st.composite
def needs(draw: st.DrawFn) -> Need:
    """CPU, shares by milli or memory, one or several GPUs."""
    gpu_milli, share_mib = draw(
        st.sampled_from(
            ((0, 0), (300, 0), (500, 0), (0, 20 * GIB), (1000, 0), (1000, 0), (2000, 0))
        )
    )
    has_gpu = bool(gpu_milli or share_mib)
    return Need(
        gpu_milli,
        draw(st.sampled_from((0, 0, 500, 3000))),
        draw(st.sampled_from((0, 0, GIB, 5 * GIB))),
        draw(st.sampled_from(((), (), ("H100",)))) if has_gpu else (),
        draw(st.sampled_from((0, 0, 40 * GIB))) if has_gpu else 0,
        share_mib,
    )


_rules = st.builds(
    LabelRule,
    st.sampled_from(("zone", "rack")),
    st.sampled_from(list(LabelOp)),
    st.sampled_from((("a",), ("1", "b"))),
    st.sampled_from((0, 1, 5)),
)


@st.composite
def specs(draw: st.DrawFn, roles: int = 1) -> JobSpec:
    """A job with any rules about nodes."""
    return JobSpec(
        "job",
        tuple(Role(f"r{i}", draw(st.integers(1, 6)), draw(needs()), ("x",)) for i in range(roles)),
        node_selector=draw(st.sampled_from(({}, {}, {}, {"zone": "a"}))),
        strategy=draw(st.sampled_from(list(Strategy))),
        affinity=tuple(draw(st.lists(_rules, max_size=1))),
        tolerations=draw(st.sampled_from(((), ("gone",), ("gone", "team"), ("team=a",)))),
        exclude_nodes=draw(st.sampled_from(((), (), ("n1", "n9")))),
        exclusive_node=draw(st.integers(0, 4)) == 0,
        topology=Topology(draw(st.sampled_from(("", "", "rack", "zone")))),
    )


def inventory_of(name: str, gpus: int, cpus: int = 64, **labels: str) -> Inventory:
    """A node of equal GPUs with these labels."""
    devices = tuple(DeviceSpec(f"{name}-{i}", "H100", 80 * GIB) for i in range(gpus))
    return Inventory(name, name, cpus * 1000, 64 * GIB, devices, labels)


class Crowd:
    """The cluster, and what is held and claimed on it by jobs that came."""

    def __init__(self, reported: list[Inventory]) -> None:
        self.cluster = Cluster()
        self.cluster.levels = LEVELS
        self.held: list[tuple[Job, HoldKey, Placement]] = []
        self.claimed: list[tuple[Job, HoldKey, Placement]] = []
        self.jobs = 0
        for index, inventory in enumerate(reported):
            name = NodeId(inventory.hostname)
            node = Node(name, index, inventory, "boot", 1, "", NodeState.READY, 0)
            node.devices = [Device(spec) for spec in inventory.devices]
            self.cluster.nodes[node.id] = node
            self.cluster.index.put(node)

    def job(self, spec: JobSpec) -> Job:
        """A queued job of its own."""
        self.jobs += 1
        return Job(JobId(f"j{self.jobs}"), self.jobs, spec, "ann", "", 0)

    def try_place(
        self,
        job: Job,
        is_soon: bool = False,
        level: str = "",
        fuel: int = PLENTY,
        by: str = "best-fit",
    ) -> Placed | None:
        """Place on a draft, take it back."""
        with Draft(self.cluster) as draft:
            draft.is_soon = is_soon
            sizes = tuple(role.shards for role in job.spec.roles)
            placed = PLACERS[by].place(draft, job, Want(sizes, level=level), Fuel(fuel))
            assert_nothing_given_twice(self.cluster)
            return placed

    def come(self, spec: JobSpec, is_soon: bool) -> None:
        """A job comes and holds, or claims, if there is room."""
        job = self.job(spec)
        placed = self.try_place(job, is_soon)
        for rank, placement in enumerate(placed.placements if placed else ()):
            node, key = self.cluster.nodes[placement.node_id], HoldKey(job.id, 1, rank)
            if is_soon:
                capacity.claim(self.cluster, job, node, key, placement)
                self.claimed.append((job, key, placement))
            else:
                capacity.hold(self.cluster, job, node, key, placement)
                self.held.append((job, key, placement))

    def leave(self, at: int) -> None:
        """All shards of a job that holds something are told to go."""
        if self.held:
            leaving = self.held[at % len(self.held)][0]
            for job, key, placement in self.held:
                node = self.cluster.nodes[placement.node_id]
                if job is leaving and key not in node.leaving:
                    capacity.leave(self.cluster, job, node, key)

    def go(self, at: int) -> None:
        """A shard has gone."""
        if self.held:
            job, key, placement = self.held.pop(at % len(self.held))
            capacity.release(self.cluster, job, self.cluster.nodes[placement.node_id], key)

    def give_up(self, at: int) -> None:
        """A claim is given up."""
        if self.claimed:
            job, key, placement = self.claimed.pop(at % len(self.claimed))
            capacity.unclaim(self.cluster, job, self.cluster.nodes[placement.node_id], key)

    def change(self, at: int) -> None:
        """A node is cordoned, silent, relabelled, retainted, or loses a device; or recovers."""
        nodes = list(self.cluster.nodes.values())
        node, what = nodes[at % len(nodes)], at // len(nodes) % 5
        inventory = node.inventory
        if what == 0:
            node.cordon = "" if node.cordon else "cordoned by ann"
        elif what == 1:
            is_ready = node.state is NodeState.READY
            node.state = NodeState.SUSPECT if is_ready else NodeState.READY
        elif what == 2:
            node.inventory = replace(inventory, labels={"zone": "b", "rack": str(at % 4)})
        elif what == 3:
            node.inventory = replace(inventory, taints=() if inventory.taints else ("gone",))
        elif node.devices:
            device = node.devices[0]
            device.spec = replace(device.spec, healthy=not device.spec.healthy)
            specs = tuple(d.spec for d in node.devices)
            node.inventory = replace(inventory, devices=specs)
        self.cluster.index.put(node)

    def step(self, what: str, at: int, spec: JobSpec) -> None:
        """One thing happens, by name."""
        if what in ("hold", "claim"):
            self.come(spec, is_soon=what == "claim")
        else:
            getattr(self, what)(at)


def assert_nothing_given_twice(cluster: Cluster) -> None:
    """Held and claimed together fit once those who leave have left; held alone fits now."""
    for node in cluster.nodes.values():
        for device in node.devices:
            assert device.used_milli <= 1000 >= device.used_milli + device.owed_milli
        inventory = node.inventory
        cpu_owed_milli = node.cpu_claimed_milli - node.cpu_leaving_milli
        assert node.cpu_used_milli + max(0, cpu_owed_milli) <= inventory.cpu_milli
        memory_owed_mib = node.memory_claimed_mib - node.memory_leaving_mib
        assert node.memory_used_mib + max(0, memory_owed_mib) <= inventory.memory_mib


steps = st.tuples(
    st.sampled_from(("hold", "hold", "hold", "claim", "leave", "leave", "go", "give_up", "change")),
    st.integers(0, 59),
    specs(),
)


@st.composite
def crowds(draw: st.DrawFn) -> Crowd:
    """A crowd after a while."""
    count = draw(st.integers(1, 8))
    crowd = Crowd([draw(inventories(f"n{i}")) for i in range(count)])
    for what, at, spec in draw(st.lists(steps, max_size=12)):
        crowd.step(what, at, spec)
    return crowd
