"""play(jobs, ...): the rounds of the Pollux artifact (OSDI 2021), on the production core.

Jobs come, work and end at their own times; only at the end of each round it is decided who has
which GPUs from then on (parity_pollux), by the daemon's decide(), check() and apply(). GPUs that
come free in between are nobody's until then. Every start, the first one too, costs so many seconds.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from aimass.core.apply import apply
from aimass.core.check import check
from aimass.core.decide import decide
from aimass.core.events import Tick
from aimass.core.model import JobId
from aimass.core.policy import Policy
from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import Kinds
from aimass.simulator.models import Costs
from aimass.simulator.parity_pollux import ROUNDS, PolluxRounds
from aimass.simulator.perf_pollux import Apps
from aimass.simulator.run import EPOCH_MS, Outcome, SimulationError, to_the_end
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.work_rounds import RoundWork
from aimass.simulator.world import World

DECISIONS_MAX = 10  # at the end of one round; it takes two when places change hands
TOLD_EVERY = 10  # jobs


def play(
    jobs: Iterable[TraceJob],
    kinds: Kinds,
    name: str,
    apps: Apps,
    sink: Callable[[Record], None],
    round_s: int = 60,
    restart_s: int = 30,
    progress: Callable[[int], None] | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Play the jobs, at least one, by submission time, to the end of the last one.

    name: one of ROUNDS. apps: tables of the jobs' applications. restart_s: what each start costs;
    less than a round. sink, progress, observer: as in run. Raises SimulationError, FileProblem, and
    ValueError for what cannot be played.
    """
    if len({kind.gpus for kind in kinds}) > 1 or len({kind.gpu_type for kind in kinds}) > 1:
        raise ValueError("rounds need nodes that are all alike; fix: a cluster such as 16x4xT4")
    if not 0 <= restart_s < round_s:
        raise ValueError(f"a start takes {restart_s} s; fix: less than a round of {round_s} s")
    rounds = _Rounds(jobs, kinds, name, apps, sink, round_s, restart_s, observer)
    return to_the_end(rounds, progress, TOLD_EVERY)


class _Rounds:
    def __init__(
        self,
        jobs: Iterable[TraceJob],
        kinds: Kinds,
        name: str,
        apps: Apps,
        sink: Callable[[Record], None],
        round_s: int,
        restart_s: int,
        observer: Observer | None,
    ) -> None:
        self.come = 0
        self._arrivals = iter(jobs)
        self._upcoming = next(self._arrivals, None)
        assert self._upcoming is not None, "a trace without jobs"
        self._begin_ms = self._upcoming.submit_ms
        self._is_elastic = name == "pollux-optimus"
        self._apps, self._sink = apps, sink
        self._round_s, self._first_s = round_s, round_s - restart_s
        costs = Costs(start_ms=restart_s * 1000, resize_every_ms=0)
        self._world = World(kinds, costs, self._over, True, observer, self._work)
        self._world.open(EPOCH_MS)
        self._works: dict[JobId, RoundWork] = {}
        self._latest: RoundWork | None = None
        self._rounds = ROUNDS[name](self._works)
        self._policy = as_policy(self._rounds)
        self._due_ms = EPOCH_MS
        self._end_ms = EPOCH_MS
        self._finished = 0

    def _work(self, job: TraceJob) -> RoundWork:
        gpus = job.gpu_milli // 1000
        app = self._apps.app(job.app)
        self._latest = RoundWork(app, job.batch, gpus, self._round_s, self._first_s)
        return self._latest

    def _submit(self, job: TraceJob, at_ms: int) -> None:
        if not (job.app and job.batch):
            raise ValueError(f"{job.name} names no application; fix: a trace of format pollux")
        if self._is_elastic:
            most = self._apps.app(job.app).gpus_max(job.batch)
            job = replace(job, gpus_min=1, gpus_max=most)
        else:
            job = replace(job, gpus_min=0, gpus_max=0)
        self._world.submit(job, at_ms)
        assert self._latest is not None
        self._works[next(reversed(self._world.cluster.jobs))] = self._latest
        self.come += 1

    def _over(self, record: Record) -> None:
        self._finished += 1
        self._end_ms = record.end_ms
        self._tell(record)

    def _tell(self, record: Record) -> None:
        start_ms, end_ms = (
            at_ms - EPOCH_MS if at_ms >= 0 else -1 for at_ms in (record.start_ms, record.end_ms)
        )
        self._sink(record._replace(start_ms=start_ms, end_ms=end_ms))

    def step(self) -> bool:
        """Go on to the next end of a round with jobs; False when there is none."""
        cluster, upcoming, round_ms = self._world.cluster, self._upcoming, self._round_s * 1000
        if not cluster.active and not len(cluster.waiting):
            if upcoming is None:
                return False
            since_ms = max(upcoming.submit_ms, self._due_ms - EPOCH_MS + 1)
            self._due_ms = EPOCH_MS - -since_ms // round_ms * round_ms
        else:
            self._due_ms += round_ms
        self._happen(self._due_ms)
        if self._rounds.unmet(cluster):
            self._decide()
        return True

    def _happen(self, until_ms: int) -> None:
        """Ends, then submissions, each at its time; then it is until_ms."""
        world, upcoming = self._world, self._upcoming
        while True:
            times = [world.next_ms(), upcoming.submit_ms + EPOCH_MS if upcoming else None]
            at_ms = min((t for t in times if t is not None and t <= until_ms), default=None)
            if at_ms is None:
                break
            world.advance(at_ms)
            while upcoming is not None and upcoming.submit_ms + EPOCH_MS <= at_ms:
                self._submit(upcoming, at_ms)
                upcoming = self._upcoming = next(self._arrivals, None)
        world.meter.advance(until_ms)
        if world.cluster.now_ms < until_ms:
            apply(world.cluster, Tick(until_ms))

    def _decide(self) -> None:
        """Who leaves places leaves them at once: a second decision starts who owns them."""
        world = self._world
        for _ in range(DECISIONS_MAX):
            plan = decide(world.cluster, self._policy)
            if plan.is_empty:
                break
            plan, rejected = check(world.cluster, plan)
            if rejected:
                first = rejected[0]
                raise SimulationError(f"the plan for {first.job_id} was rejected: {first.reason}")
            world.carry_out(plan)
        if unmet := self._rounds.unmet(world.cluster):
            raise SimulationError(f"{unmet[0]} does not hold what this round gives it")

    def outcome(self) -> Outcome:
        """What it added up to."""
        meter = self._world.meter
        return Outcome(
            self.come,
            self._finished,
            self._begin_ms,
            self._end_ms - EPOCH_MS,
            meter.held,
            meter.idle,
            meter.idle_beside,
            meter.capacity_milli,
            self._world.preemptions,
            self._world.cluster.revision,
        )


def as_policy(rounds: PolluxRounds) -> Policy:
    """The allotter and placer among seams of which nothing else is asked."""
    return replace(make_policy("fifo-skip"), allot=rounds, place=rounds)
