"""Any order of events, faults and lies of the network: the invariants hold, and jobs still end.

As in TigerBeetle's simulator: safety first, under every fault, then the faults stop and every job
that can end must end (I6).
"""

from dataclasses import replace
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
from aimass.core.apply_jobs import as_active, update_problem
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.decide import decide
from aimass.core.depends import dependency_problem
from aimass.core.explain import explain
from aimass.core.invariants import check_invariants
from aimass.core.lifecycle import JOB_TRANSITIONS, JobTrigger
from aimass.core.model import Exit, Inventory, Job, JobId, JobState, NodeId, NodeState
from aimass.core.queues import Cell, QueueSpec
from aimass.core.spec import Dependency, DependsOn, JobSpec
from aimass.core.spec_problems import problems
from aimass.policies.registry import ORDERS, PLACERS, make_policy
from tests.core.strategies import exits, inventories, job_specs, life_specs
from tests.core.world import World, active_jobs, gpus, inventory, jobs_in, replay

_REPORTS = ev.ShardStarted | ev.ShardExited | ev.PortReserved | ev.CheckpointReported
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
        self.world.settle()

    # ---- clients --------------------------------------------------------------------------------

    @rule(data=st.data(), has_key=st.booleans(), held=st.booleans())
    def submit(self, data: st.DataObject, has_key: bool, held: bool) -> None:
        """A user submits a job or an array, that may wait for another."""
        world = self.world
        key = f"key-{world.cluster.next_seq}" if has_key else ""
        spec = data.draw(life_specs(world.now_ms, tuple(world.cluster.queues)))
        known = [*world.cluster.jobs, *world.cluster.arrays]
        if known and data.draw(st.booleans()):
            other = data.draw(st.sampled_from(known))
            dependency = Dependency(other, data.draw(st.sampled_from(list(DependsOn))))
            waits = replace(spec, depends_on=(dependency,))
            spec = spec if world.refusals(waits) else waits
        world.submit_spec(spec, key, held=held and data.draw(st.booleans()))

    @rule(data=st.data(), grace_ms=st.sampled_from((0, 1000, 60_000)))
    def cancel(self, data: st.DataObject, grace_ms: int) -> None:
        """A user cancels some job, over or not, known or not."""
        job_id = self.some_id(data)
        self.world.do(ev.JobCancelRequested, job_id=job_id, by="ann", grace_ms=grace_ms)

    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """A user holds some job back."""
        self.world.do(ev.JobHeld, job_id=self.some_id(data), by="ann")

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """A user lets some job go."""
        self.world.do(ev.JobReleased, job_id=self.some_id(data), by="ann")

    @rule(data=st.data(), suspend=st.booleans())
    def requeue(self, data: st.DataObject, suspend: bool) -> None:
        """A user takes some job off its nodes."""
        job_id = self.some_id(data)
        self.world.do(ev.JobRequeueRequested, job_id=job_id, by="ann", suspend=suspend)

    @rule(data=st.data())
    def update(self, data: st.DataObject) -> None:
        """A user changes some job, as far as the edge lets them."""
        world = self.world
        jobs = [job for job in world.cluster.jobs.values() if not job.state.is_over]
        if not jobs:
            return
        job = data.draw(st.sampled_from(jobs))
        drawn = data.draw(life_specs(world.now_ms, tuple(world.cluster.queues)))
        new = replace(drawn, array=job.spec.array, depends_on=job.spec.depends_on)
        if job.state.is_active:
            new = as_active(job.spec, drawn)
        elif data.draw(st.booleans()):
            other = data.draw(st.sampled_from(list(world.cluster.jobs)))
            new = replace(new, depends_on=(Dependency(other),))
        cluster = world.cluster
        refused = update_problem(job, new) or dependency_problem(cluster, new, job.id)
        if not refused and not list(problems(new)):
            world.do(ev.JobUpdated, job_id=job.id, spec=new, by="ann")

    def some_id(self, data: st.DataObject) -> JobId:
        """A job, perhaps one that nobody knows."""
        return data.draw(st.sampled_from([*self.world.cluster.jobs, JobId("j999")]))

    # ---- operators and time ---------------------------------------------------------------------

    @rule(node=nodes, drain_ms=st.sampled_from((0, 1, 600_000)))
    def cordon(self, node: str, drain_ms: int) -> None:
        """An operator takes a node out of use, and perhaps empties it."""
        if NodeId(node) in self.world.cluster.nodes:
            at_ms = self.world.now_ms + drain_ms if drain_ms else 0
            self.world.do(ev.NodeCordoned, node_id=NodeId(node), by="ann", drain_ms=at_ms)

    @rule(node=nodes)
    def uncordon(self, node: str) -> None:
        """An operator takes it back into use."""
        if NodeId(node) in self.world.cluster.nodes:
            self.world.do(ev.NodeUncordoned, node_id=NodeId(node), by="ann")

    @rule(
        name=st.sampled_from(("research", "vision")),
        weight=st.integers(1, 3),
        quota=st.sampled_from(({}, {"gpu": 2000}, {"gpu": 4000, "gpu:H100": 2000})),
        reserve=st.sampled_from(((), (), (Cell(2, "H100", 1),), (Cell(1, "H100", 2, 2, "rack"),))),
    )
    def put_queue(
        self, name: str, weight: int, quota: dict[str, int], reserve: tuple[Cell, ...]
    ) -> None:
        """An operator makes or changes a queue; of the nodes that bear a reserve, some are gone."""
        spec = QueueSpec(name, weight=weight, quota=quota, reserve=reserve if quota else ())
        self.world.do(ev.QueuePut, spec=spec, by="ann")

    @rule(span_ms=st.sampled_from((1000, 60_000, 3_600_000)))
    def pass_time(self, span_ms: int) -> None:
        """Nothing else happens until something falls due."""
        self.world.tick(self.world.now_ms + span_ms)

    # ---- the scheduler --------------------------------------------------------------------------

    @rule(order=st.sampled_from(sorted(ORDERS)), place=st.sampled_from(sorted(PLACERS)))
    def plan(self, order: str, place: str) -> None:
        """The scheduler decides; to decide is not to act."""
        world = self.world
        world.policy = make_policy(order, place)
        before = state_hash(world.cluster)
        decide(world.cluster, world.policy)
        assert state_hash(world.cluster) == before
        world.settle()

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
    @rule(data=st.data(), age_ms=st.sampled_from((0, 500)), behind=st.sampled_from((0, 0, 1)))
    def report_checkpoint(self, data: st.DataObject, age_ms: int, behind: int) -> None:
        """A job has written one, in this attempt or an earlier."""
        job = self.some_active(data)
        self.world.do(
            ev.CheckpointReported, job_id=job.id, attempt=job.attempt - behind, age_ms=age_ms
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
        reports = [event for event in self.world.history if isinstance(event, _REPORTS)]
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
        while not world.settle().is_empty or active_jobs(world.cluster) or self.falls_due():
            for job in active_jobs(world.cluster):
                world.exit(job)
            rounds += 1
            assert rounds <= 20 * len(world.cluster.jobs) + 20, "no progress although nothing fails"
        assert world.cluster.claims == {}
        for job in jobs_in(world.cluster, JobState.QUEUED):
            if len(job.spec.roles) == 1 and not job.unmet:
                why = explain(world.cluster, job, world.policy)
                may = why.fits_when_empty and not why.code.startswith("QUOTA")
                assert not may, f"{job.id} fits and waits for ever: {why.code}: {why.summary}"

    def falls_due(self) -> bool:
        """Go to where time does something next, if it ever does."""
        return self.world.tick(self.world.now_ms + 10**12)

    def heal(self) -> None:
        """Every node is back, with all it has, and nobody holds anything back."""
        for node in self.world.cluster.nodes:
            self.world.do(ev.NodeUncordoned, node_id=node, by="ann")
        for job in jobs_in(self.world.cluster, JobState.HELD):
            self.world.do(ev.JobReleased, job_id=job.id, by="ann")
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
