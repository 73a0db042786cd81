"""Any order of events, faults and lies of the network: the invariants hold, and jobs still end.

As in TigerBeetle's simulator: safety first, under every fault, then the faults stop and every job
that can end must end (I6).
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from aimass.core import events as ev
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.decide import decide
from aimass.core.explain import explain
from aimass.core.invariants import check_invariants
from aimass.core.lifecycle import JOB_TRANSITIONS, JobTrigger
from aimass.core.model import Exit, Inventory, Job, JobId, JobState, NodeId, NodeState
from aimass.core.spec import JobSpec
from aimass.policies.registry import ORDERS, PLACERS, make_policy
from tests.core.strategies import exits, inventories, job_specs
from tests.core.world import World, active_jobs, gpus, inventory, jobs_in, replay

NODES = ("n1", "n2", "n3")
nodes = st.sampled_from(NODES)
ranks = st.integers(-1, 8)


class ClusterMachine(RuleBasedStateMachine):
    """A small cluster, its users, its agents and its network."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.states: dict[JobId, JobState] = {}
        self.seen = len(self.world.history)

    @initialize(specs=st.lists(job_specs(), max_size=5), n2=inventories("n2"))
    def a_cluster_begins_with_nodes_and_jobs(self, specs: list[JobSpec], n2: Inventory) -> None:
        """So that there is something to go wrong."""
        self.world.join("n1", inventory("n1", gpus("n1", 4, island=2)))
        self.world.join("n2", n2)
        for spec in specs:
            self.world.submit_spec(spec)
        self.world.plan()

    # ---- clients --------------------------------------------------------------------------------

    @rule(spec=job_specs(), has_key=st.booleans())
    def submit(self, spec: JobSpec, has_key: bool) -> None:
        """A user submits."""
        key = f"key-{self.world.cluster.next_seq}" if has_key else ""
        self.world.submit_spec(spec, key)

    @rule(data=st.data(), grace_ms=st.sampled_from((0, 1000, 60_000)))
    def cancel(self, data: st.DataObject, grace_ms: int) -> None:
        """A user cancels some job, over or not, known or not."""
        known = [*self.world.cluster.jobs, JobId("j999")]
        self.world.do(
            ev.JobCancelRequested,
            job_id=data.draw(st.sampled_from(known)),
            by="ann",
            grace_ms=grace_ms,
        )

    # ---- the scheduler --------------------------------------------------------------------------

    @rule(order=st.sampled_from(sorted(ORDERS)), place=st.sampled_from(sorted(PLACERS)))
    def plan(self, order: str, place: str) -> None:
        """The scheduler decides; to decide is not to act."""
        world = self.world
        world.policy = make_policy(order, place)
        before = state_hash(world.cluster)
        decide(world.cluster, world.policy)
        assert state_hash(world.cluster) == before
        world.plan()

    @rule()
    def explain_all(self) -> None:
        """Everything can be explained at any time, and explaining is not acting."""
        world = self.world
        before = state_hash(world.cluster)
        for job in world.cluster.jobs.values():
            why = explain(world.cluster, job, world.policy)
            assert why.code
            assert 0 <= why.shards_fit_now <= why.shards_asked
        assert state_hash(world.cluster) == before

    @rule(policy=st.tuples(st.sampled_from(sorted(ORDERS)), st.sampled_from(sorted(PLACERS))))
    def restart(self, policy: tuple[str, str]) -> None:
        """The scheduler crashes, recovers from a snapshot, and leads the next term."""
        live = self.world.cluster
        restored = restore(encode_snapshot(live))
        check_invariants(restored)
        assert state_hash(restored) == state_hash(live)
        assert decide(restored, make_policy(*policy)) == decide(live, make_policy(*policy))
        self.world.cluster = restored
        self.world.do(ev.TermStarted, term=restored.term + 1)

    # ---- agents ---------------------------------------------------------------------------------

    @rule(node=nodes, is_reboot=st.booleans(), data=st.data())
    def register(self, node: str, is_reboot: bool, data: st.DataObject) -> None:
        """An agent introduces itself: first, again, after a reboot, with other hardware."""
        known = self.world.cluster.nodes.get(NodeId(node))
        boot = known.boot_id if known else "1"
        reported = data.draw(inventories(node))
        self.world.join(node, reported, f"{boot}+" if is_reboot else boot)

    @rule(node=nodes, data=st.data())
    def report_inventory(self, node: str, data: st.DataObject) -> None:
        """Devices fail, vanish and come back."""
        if NodeId(node) in self.world.cluster.nodes:
            reported = data.draw(inventories(node))
            self.world.do(ev.InventoryChanged, node_id=NodeId(node), inventory=reported)

    @rule(node=nodes)
    def fall_silent(self, node: str) -> None:
        """Heartbeats stop."""
        if NodeId(node) in self.world.cluster.nodes:
            self.world.do(ev.NodeSilent, node_id=NodeId(node), reason="no heartbeat")

    @rule(node=nodes)
    def expire(self, node: str) -> None:
        """A lease runs out, or seems to although the agent has come back."""
        if NodeId(node) in self.world.cluster.nodes:
            self.world.do(ev.LeaseExpired, node_id=NodeId(node))

    def active(self) -> bool:
        """Whether some job holds capacity."""
        return bool(active_jobs(self.world.cluster))

    @precondition(active)
    @rule(data=st.data())
    def start_all(self, data: st.DataObject) -> None:
        """Every shard of a job runs."""
        self.world.start(self.some_active(data))

    @precondition(active)
    @rule(data=st.data(), how=exits)
    def exit_all(self, data: st.DataObject, how: Exit) -> None:
        """Every shard of a job ends alike."""
        self.world.exit(self.some_active(data), how=how)

    @precondition(active)
    @rule(data=st.data(), rank=ranks, how=exits, behind=st.sampled_from((0, 0, 0, 1)))
    def exit_one(self, data: st.DataObject, rank: int, how: Exit, behind: int) -> None:
        """One shard ends, of this attempt or an earlier; perhaps one that does not exist."""
        job = self.some_active(data)
        self.world.do(
            ev.ShardExited, job_id=job.id, attempt=job.attempt - behind, rank=rank, exit=how
        )

    @precondition(active)
    @rule(data=st.data(), rank=ranks, behind=st.sampled_from((0, 0, 0, 1)))
    def start_one(self, data: st.DataObject, rank: int, behind: int) -> None:
        """One shard runs, of this attempt or an earlier; perhaps one that does not exist."""
        job = self.some_active(data)
        self.world.do(
            ev.ShardStarted, job_id=job.id, attempt=job.attempt - behind, rank=rank, pid=7
        )

    @precondition(active)
    @rule(data=st.data(), port=st.integers(1024, 65535))
    def reserve_port(self, data: st.DataObject, port: int) -> None:
        """Rank 0's agent reserves a port, or another one."""
        job = self.some_active(data)
        self.world.do(ev.PortReserved, job_id=job.id, attempt=job.attempt, port=port)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The network delivers an old report again."""
        reports = [
            event
            for event in self.world.history
            if isinstance(event, ev.ShardStarted | ev.ShardExited | ev.PortReserved)
        ]
        if reports:
            event = data.draw(st.sampled_from(reports))
            self.world.do(type(event), **_without_time(event))

    def some_active(self, data: st.DataObject) -> Job:
        """Any job that holds capacity."""
        return data.draw(st.sampled_from(active_jobs(self.world.cluster)))

    # ---- what must hold -------------------------------------------------------------------------

    @invariant()
    def jobs_move_along_the_lifecycle(self) -> None:
        """Only PLACE leads out of QUEUED into capacity, and nothing leads out of an end."""
        new = self.world.history[self.seen :]
        for job in self.world.cluster.jobs.values():
            before = self.states.get(job.id, JobState.QUEUED)
            assert job.state in _reachable(before, new), f"{before} to {job.state} by {new}"
            self.states[job.id] = job.state
        self.seen += len(new)

    def teardown(self) -> None:
        """Replay agrees; then the faults stop, and every job that can end does."""
        world = self.world
        assert state_hash(replay(world.history)) == state_hash(world.cluster)
        self.heal()
        world.policy = make_policy()
        rounds = 0
        while active_jobs(world.cluster) or world.plan().starts:
            for job in active_jobs(world.cluster):
                world.exit(job)
            rounds += 1
            assert rounds <= len(world.cluster.jobs) + 1, "no progress although nothing fails"
        for job in jobs_in(world.cluster, JobState.QUEUED):
            if len(job.spec.roles) == 1:
                why = explain(world.cluster, job, world.policy)
                assert not why.fits_when_empty, f"{job.id} fits and waits for ever: {why}"

    def heal(self) -> None:
        """Every node is back, with all it has."""
        whole: dict[str, Inventory] = {n: inventory(n, gpus(n, 8, island=4)) for n in NODES}
        for node, reported in whole.items():
            self.world.join(node, reported, "healed")
        states = {node.state for node in self.world.cluster.nodes.values()}
        assert states == {NodeState.READY}


def _without_time(event: ev.Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__ if name != "at_ms"}


def _reachable(state: JobState, events: list[ev.Event]) -> set[JobState]:
    """Where the tables lead from a state; to PLACE takes a plan, and each plan places once."""
    found, edge = {state}, {state}
    places = sum(isinstance(event, ev.PlanCommitted) for event in events)
    while edge:
        steps = {
            (trigger, target)
            for (source, trigger), target in JOB_TRANSITIONS.items()
            if source in edge and (trigger is not JobTrigger.PLACE or places)
        }
        edge = {target for _, target in steps} - found
        found |= edge
    return found


ClusterMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestCluster = ClusterMachine.TestCase
