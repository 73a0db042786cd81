"""A cluster's random life, for what must hold after every single event.

Queues, windows, arrays, gangs, elastic jobs, failures and operators together, driven by a list of
small steps, so that a life can be repeated and cut shorter. After each event the decision is made
four ways, see Life.decide.
"""

import random
from collections.abc import Iterable
from dataclasses import replace

from aimass.core import events as ev
from aimass.core.apply_jobs import job_id_of
from aimass.core.check import check
from aimass.core.codec import encode_snapshot, restore
from aimass.core.decide import decide
from aimass.core.decider import Decider
from aimass.core.model import Exit, ExitReason, Job, JobState, StopRule
from aimass.core.plan import Plan
from aimass.core.queues import QueueSpec
from aimass.core.spec import (
    Array,
    Checkpoint,
    Elastic,
    JobSpec,
    Need,
    Preemption,
    PreemptMode,
    Role,
    Topology,
)
from aimass.core.spec_problems import problems
from aimass.core.windows import WindowSpec
from aimass.policies.registry import make_policy
from tests.core.world import World, active_jobs, gpus, inventory, jobs_in

MINUTE_MS = 60_000
SETTLE_MAX = 6
QUEUES = ("default", "research", "vision", "students")
Step = tuple[str, int]
"""What happens, and a number that everything about it is drawn from."""

KINDS = (
    *("submit",) * 10,
    *("exit",) * 5,
    *("pass",) * 4,
    *("start",) * 3,
    *("checkpoint", "cancel", "fail", "cordon", "uncordon", "window", "no_window", "queue"),
    *("silent", "lost", "join", "hold", "release", "requeue", "shard"),
)


def steps_of(seed: int, count: int) -> list[Step]:
    """So many random steps."""
    draw = random.Random(seed)
    return [(draw.choice(KINDS), draw.randrange(1 << 30)) for _ in range(count)]


class Broken(AssertionError):
    """A comparison failed; `what` says which: a shorter life must fail alike."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(f"{what}: {text}")
        self.what = what


def moves(plan: Plan) -> tuple[object, ...]:
    """Who starts, stops, and gets or loses a claim; without the texts, and without promises, which
    a decision afresh may make better."""
    return (
        tuple((start.job_id, start.placements) for start in plan.starts),
        tuple((stop.job_id, stop.rule, stop.by) for stop in plan.stops),
        tuple((claim.job_id, claim.placements, claim.victims) for claim in plan.claims),
        plan.unclaims,
    )


def who_moves(plan: Plan) -> tuple[object, ...]:
    """The same without places: a memory may choose another place among those promised later."""
    return (
        {start.job_id for start in plan.starts},
        {(stop.job_id, stop.rule, stop.by) for stop in plan.stops},
        {(claim.job_id, claim.victims) for claim in plan.claims},
        plan.unclaims,
    )


class Life:
    """One random life. seed draws the cluster; run() does the steps.

    is_strict: deciding again moves nobody at all; else it may take a few rounds to settle. moves:
    as of the operator's options; then most jobs may be moved. order: instead of one that is drawn.
    """

    def __init__(
        self,
        seed: int,
        is_strict: bool = True,
        moves: int = 0,
        place: str = "best-fit",
        order: str = "",
    ) -> None:
        draw = random.Random(seed)
        self.is_strict = is_strict
        self.moved = 0  # jobs, so far
        drawn = draw.choice(("fair", "fair", "priority"))
        self.world = World(make_policy(order or drawn, place, moves=moves))
        self.sizes = [draw.choice((1, 2, 4, 8)) for _ in range(draw.randint(1, 4))]
        self.sizes += [4, 4, 4, 4] if moves else []
        for number in range(len(self.sizes)):
            self._join(number)
        for name in QUEUES[1:]:
            if draw.random() < 0.6:
                self._put_queue(name, draw)
        self.decider = Decider(self.world.policy)

    def run(self, steps: Iterable[Step]) -> None:
        """Do the steps, each followed by decisions until nobody moves."""
        for kind, number in steps:
            getattr(self, f"_{kind}")(random.Random(number))
            self.decide()

    def decide(self, rounds: int = 1) -> None:
        """Decide with memory, afresh, for the restored cluster, and again: all must agree."""
        world = self.world
        plan = self.decider.decide(world.cluster)
        fresh = decide(world.cluster, world.policy)
        if who_moves(plan) != who_moves(fresh):
            raise Broken("memory", f"{moves(plan)}\nafresh {moves(fresh)}")
        restored = decide(restore(encode_snapshot(world.cluster)), world.policy)
        if moves(restored) != moves(fresh):
            raise Broken("restored", f"{moves(restored)}\nlive {moves(fresh)}")
        accepted, rejected = check(world.cluster, plan)
        if rejected or accepted != plan:
            raise Broken("check", str(rejected))
        if not plan.is_empty:
            world.commit(plan)
            self.moved += sum(stop.rule is StopRule.MOVE for stop in plan.stops)
        world.wake_ms = plan.wake_ms
        if plan.unclaims:  # who lost a claim is looked at next
            self.decide(rounds)
            return
        again = decide(world.cluster, world.policy)
        if again.is_still:
            return
        if self.is_strict or rounds == SETTLE_MAX:
            raise Broken("again", f"{moves(again)}\nafter {moves(plan)}")
        self.decider.forget()  # it would wait for an event that frees something
        self.decide(rounds + 1)

    # ---- users ----------------------------------------------------------------------------------

    def _submit(self, draw: random.Random) -> None:
        spec = _spec(draw, self.world.now_ms, tuple(self.world.cluster.queues))
        if list(problems(spec)):
            return
        world = self.world
        if world.policy.options.moves and draw.random() < 0.8:
            spec = _movable(draw, spec)
        job_id = job_id_of(world.cluster.next_seq)
        world.do(ev.JobSubmitted, job_id=job_id, spec=spec, user=draw.choice(("ann", "bob")))

    def _cancel(self, draw: random.Random) -> None:
        if jobs := self._live():
            self.world.cancel(draw.choice(jobs), draw.choice((0, 30_000)))

    def _hold(self, draw: random.Random) -> None:
        if jobs := self._live():
            self.world.do(ev.JobHeld, job_id=draw.choice(jobs).id, by="ann")

    def _release(self, draw: random.Random) -> None:
        if jobs := jobs_in(self.world.cluster, JobState.HELD):
            self.world.do(ev.JobReleased, job_id=draw.choice(jobs).id, by="ann")

    def _requeue(self, draw: random.Random) -> None:
        if jobs := active_jobs(self.world.cluster):
            job_id, suspend = draw.choice(jobs).id, draw.random() < 0.3
            self.world.do(ev.JobRequeueRequested, job_id=job_id, by="ann", suspend=suspend)

    # ---- shards ---------------------------------------------------------------------------------

    def _start(self, draw: random.Random) -> None:
        starting = jobs_in(self.world.cluster, JobState.PLACED, JobState.STARTING)
        if starting:
            self.world.start(draw.choice(starting))

    def _exit(self, draw: random.Random) -> None:
        if jobs := active_jobs(self.world.cluster):
            self.world.exit(draw.choice(jobs))

    def _fail(self, draw: random.Random) -> None:
        if jobs := active_jobs(self.world.cluster):
            how = draw.choice((Exit(1), Exit(reason=ExitReason.OUT_OF_MEMORY), Exit(signal=9)))
            self.world.exit(draw.choice(jobs), how=how)

    def _shard(self, draw: random.Random) -> None:
        if jobs := active_jobs(self.world.cluster):
            job = draw.choice(jobs)
            self.world.exit(job, [draw.randrange(len(job.current.placements))])

    def _checkpoint(self, draw: random.Random) -> None:
        if jobs := active_jobs(self.world.cluster):
            job = draw.choice(jobs)
            self.world.do(ev.CheckpointReported, job_id=job.id, attempt=job.attempt, age_ms=500)

    # ---- operators, nodes and time --------------------------------------------------------------

    def _queue(self, draw: random.Random) -> None:
        self._put_queue(draw.choice(QUEUES[1:]), draw)

    def _put_queue(self, name: str, draw: random.Random) -> None:
        total = 1000 * sum(self.sizes)
        spec = QueueSpec(name, weight=draw.randint(1, 3))
        if draw.random() < 0.6:
            spec = replace(spec, quota={"gpu": draw.randint(0, total // 2000) * 1000})
        if draw.random() < 0.2:
            spec = replace(spec, limit={"gpu": max(spec.quota.get("gpu", 0), total // 2)})
        if draw.random() < 0.2:
            spec = replace(spec, borrow_limit={"gpu": 1000 * draw.randint(0, 4)})
        if draw.random() < 0.2:
            spec = replace(spec, lend_limit={"gpu": 1000 * draw.randint(0, 2)})
        if draw.random() < 0.1:
            spec = replace(spec, max_jobs=draw.randint(1, 4))
        self.world.do(ev.QueuePut, spec=spec, by="ann")

    def _cordon(self, draw: random.Random) -> None:
        drain_ms = self.world.now_ms + MINUTE_MS if draw.random() < 0.5 else 0
        self.world.do(ev.NodeCordoned, node_id=self._node(draw), by="ann", drain_ms=drain_ms)

    def _uncordon(self, draw: random.Random) -> None:
        self.world.do(ev.NodeUncordoned, node_id=self._node(draw), by="ann")

    def _silent(self, draw: random.Random) -> None:
        self.world.do(ev.NodeSilent, node_id=self._node(draw), reason="no heartbeat")

    def _lost(self, draw: random.Random) -> None:
        self.world.do(ev.LeaseExpired, node_id=self._node(draw))

    def _join(self, number: "int | random.Random") -> None:
        if isinstance(number, random.Random):
            number = number.randrange(len(self.sizes))
        name = f"n{number + 1}"
        labels = {"rack": f"r{number // 2}"}
        there = inventory(name, gpus(name, self.sizes[number], island=0), cpus=64, labels=labels)
        known = self.world.cluster.nodes.get(name)  # type: ignore[call-overload]
        self.world.join(name, there, f"{known.boot_id}+" if known else "1")

    def _node(self, draw: random.Random) -> str:
        return draw.choice(list(self.world.cluster.nodes))

    def _window(self, draw: random.Random) -> None:
        start_ms = self.world.now_ms + draw.choice((1, 10, 60)) * MINUTE_MS
        nodes = tuple(n for n in self.world.cluster.nodes if draw.random() < 0.5)
        if not nodes:
            return
        queues = (draw.choice(QUEUES[:1]),) if draw.random() < 0.5 else ()
        is_closed = not queues
        name = draw.choice(("w1", "w2"))
        length_ms = draw.choice((5, 30)) * MINUTE_MS
        spec = WindowSpec(name, start_ms, length_ms, nodes, queues=queues, maintenance=is_closed)
        self.world.do(ev.WindowPut, spec=spec, by="ann")

    def _no_window(self, draw: random.Random) -> None:
        if windows := list(self.world.cluster.windows):
            self.world.do(ev.WindowDeleted, name=draw.choice(windows))

    def _pass(self, draw: random.Random) -> None:
        self.world.tick(self.world.now_ms + draw.choice((1, 5, 30, 120)) * MINUTE_MS)

    def _live(self) -> list[Job]:
        return [job for job in self.world.cluster.jobs.values() if not job.state.is_over]


def _movable(draw: random.Random, spec: JobSpec) -> JobSpec:
    """A long job of a few whole GPUs that may be moved: such leave holes behind."""
    need = Need(gpu_milli=1000 * draw.choice((1, 1, 1, 2, 4)))
    return replace(
        spec,
        roles=(Role("worker", draw.choice((1, 1, 1, 2)), need, ("train",)),),
        preemption=Preemption(max_per_day=draw.choice((0, 0, 1))),
        expected_ms=draw.choice((0, 60, 240)) * MINUTE_MS,
        checkpoint=Checkpoint("SIGUSR1", MINUTE_MS),
        movable=True,
    )


def _spec(draw: random.Random, now_ms: int, queues: tuple[str, ...]) -> JobSpec:
    """Any job that a small cluster may hold; most are plain."""

    def perhaps(chance: float) -> bool:
        return draw.random() < chance

    milli = draw.choice((500, 1000, 1000, 1000, 2000, 4000))
    need = Need(gpu_milli=milli, cpu_milli=draw.choice((1000, 1000, 4000)))
    shards = draw.choice((1, 1, 1, 2, 2, 3, 4))
    elastic = None
    if perhaps(0.2):
        elastic = Elastic(1, shards + draw.randint(0, 3), 1, 10_000, draw.choice((0, 600_000)))
        shards = min(elastic.max_shards, max(1, shards))
    roles = (Role("worker", shards, need, ("train",), elastic),)
    if perhaps(0.1):
        roles += (Role("ps", 1, Need(cpu_milli=2000), ("ps",)),)
    spec = JobSpec(
        f"job{draw.randrange(3)}",
        roles,
        queue=draw.choice([q for q in queues if q != "root"]),
        priority=draw.choice((0, 0, 0, 5, 10)),
        preemptible=perhaps(0.8),
        expected_ms=draw.choice((0, 1, 5, 20, 60)) * MINUTE_MS,
        array=Array(tuple(range(3)), draw.choice((0, 1, 2))) if perhaps(0.1) else None,
        exclusive_node=perhaps(0.05),
        movable=perhaps(0.2),
    )
    if perhaps(0.2):
        spec = replace(spec, walltime_ms=60 * MINUTE_MS)
    if perhaps(0.1):
        spec = replace(spec, start_after_ms=now_ms + draw.choice((1, 30)) * MINUTE_MS)
    if perhaps(0.1):
        spec = replace(spec, topology=Topology(preferred="rack", wait_ms=MINUTE_MS))
    if perhaps(0.1):
        spec = replace(spec, checkpoint=Checkpoint("SIGUSR1", MINUTE_MS))
    if perhaps(0.2):
        mode = draw.choice(list(PreemptMode)) if elastic else PreemptMode.REQUEUE
        asks = Preemption(
            mode, draw.choice((0, 300_000)), draw.choice((0, 2)), draw.choice((0, 60_000))
        )
        spec = replace(spec, preemption=asks)
    return spec
