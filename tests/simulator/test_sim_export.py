"""massctl sim export: what a journal gives back, and what it cannot."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from aimass import cli
from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.model import Exit, JobId
from aimass.core.policy import Policy
from aimass.core.queues import QueueSpec
from aimass.core.spec import Array, Dependency, JobSpec, Need, Role
from aimass.policies.registry import make_policy
from aimass.scheduler.journal_sqlite import SqliteJournal
from aimass.simulator.clusters import parse_cluster, registrations
from aimass.simulator.export import NEVER_RAN, NO_GPU, SHARES, STILL_THERE, export
from aimass.simulator.models import Costs
from aimass.simulator.run import run
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace
from tests.simulator.noted import events_of

PRIORITY = make_policy("priority", promises=0)
BEGIN_MS = 1_000_000


class Live:
    """A small cluster, and what its journal holds."""

    def __init__(self, cluster: str = "2x4xA") -> None:
        self.events: list[ev.Event] = []
        self.state = Cluster()
        self.tell(ev.ClusterCreated(BEGIN_MS, "live"))
        self.tell(ev.TermStarted(BEGIN_MS, 1))
        for joined in registrations(parse_cluster(cluster), BEGIN_MS):
            self.tell(joined)

    def tell(self, event: ev.Event) -> None:
        """Apply the event and write it down."""
        apply(self.state, event)
        self.events.append(event)

    def submit(self, at_ms: int, spec: JobSpec, held: bool = False) -> JobId:
        """Submit a job, and let what can start."""
        job_id = job_id_of(self.state.next_seq)
        self.tell(ev.JobSubmitted(at_ms, job_id, spec, "eva", held=held))
        self.decide(at_ms)
        return job_id

    def decide(self, at_ms: int, policy: Policy = PRIORITY) -> None:
        """Start what can, and report it running a second later."""
        self.tell(ev.Tick(at_ms))
        plan = decide(self.state, policy)
        if plan.is_empty:
            return
        self.tell(ev.PlanCommitted(at_ms, plan.basis, plan.policy, plan.starts, plan.stops))
        for start in plan.starts:
            for rank in range(len(start.placements)):
                self.tell(ev.ShardStarted(at_ms + 1000, start.job_id, start.attempt, rank, 1))

    def end(self, at_ms: int, job_id: str, how: Exit | None = None) -> None:
        """Every shard of the job exits."""
        job = self.state.jobs[JobId(job_id)]
        for rank in range(len(job.current.shards)):
            self.tell(ev.ShardExited(at_ms, job.id, job.attempt, rank, how or Exit()))
        self.decide(at_ms)


def spec(shards: int = 1, gpu_milli: int = 1000) -> JobSpec:
    """A job of equal shards."""
    role = Role("worker", shards, Need(gpu_milli=gpu_milli), ("work",))
    return JobSpec("job", (role,), grace_ms=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("checkpoint_min", [0, 7])
def test_what_was_simulated_is_exported_as_it_was(seed: int, checkpoint_min: int) -> None:
    """Starts take time, jobs are stopped and go on: the trace of the journal is the trace."""
    chance, jobs, at_ms = random.Random(seed), [], BEGIN_MS
    for number in range(120):
        at_ms += chance.randrange(240_000)
        types = chance.choice(((), ("A",), ("A", "B")))
        jobs.append(
            TraceJob(
                f"{number}",
                at_ms,
                chance.randrange(1, 3_600_000),
                chance.choice((250, 500, 1000, 2000, 4000, 8000)),
                user=chance.choice(("eva", "tom")),
                queue=chance.choice(("default", "q")),
                priority=chance.randrange(3),
                gpu_types=types,
            )
        )
    costs = Costs(start_ms=2000, stop_ms=500, checkpoint_ms=checkpoint_min * 60_000)
    kinds = parse_cluster("2x4xA+2x4xB")
    seen = events_of(lambda: run(jobs, kinds, PRIORITY, lambda _: None, costs))
    assert any(isinstance(event, ev.PlanCommitted) and event.stops for event in seen)
    found = export(seen)
    assert not found.left_out
    assert found.cluster == "2x4xA+2x4xB"
    shift_ms = found.jobs[0].submit_ms - jobs[0].submit_ms
    named = [
        replace(job, name=own.name, line=0, submit_ms=job.submit_ms - shift_ms)
        for job, own in zip(found.jobs, jobs, strict=True)
    ]
    assert named == jobs


def test_a_job_comes_when_it_could_first_have_started() -> None:
    live = Live()
    held = live.submit(BEGIN_MS + 1000, spec(), held=True)
    first = live.submit(BEGIN_MS + 2000, spec())
    after = live.submit(BEGIN_MS + 3000, replace(spec(), depends_on=(Dependency(first),)))
    later = live.submit(BEGIN_MS + 4000, replace(spec(), start_after_ms=BEGIN_MS + 50_000))
    live.tell(ev.JobReleased(BEGIN_MS + 9000, held, "eva"))
    live.decide(BEGIN_MS + 9500)
    live.end(BEGIN_MS + 20_000, first)
    live.decide(BEGIN_MS + 50_500)
    for job_id in (held, after, later):
        live.end(BEGIN_MS + 60_000, job_id)
    found = {job.name: job for job in export(live.events).jobs}
    times_s = {name: (job.submit_ms - BEGIN_MS) / 1000 for name, job in found.items()}
    assert times_s == {first: 2, held: 9, after: 20, later: 50}
    assert list(found) == [first, held, after, later]
    assert found[after].work_ms == 60_000 - 21_000


def test_an_array_is_its_tasks_and_what_waits_for_it_waits_for_all() -> None:
    live = Live()
    array = live.submit(BEGIN_MS, replace(spec(2, 500), array=Array((1, 5))))
    after = live.submit(BEGIN_MS, replace(spec(3), depends_on=(Dependency(array),)))
    live.end(BEGIN_MS + 5000, f"{array}_5")
    live.end(BEGIN_MS + 8000, f"{array}_1")
    live.end(BEGIN_MS + 20_000, after)
    found = {job.name: job for job in export(live.events).jobs}
    assert found.keys() == {f"{array}_1", f"{array}_5", after}
    assert {found[f"{array}_{i}"].gpu_milli for i in (1, 5)} == {1000}
    assert (found[after].submit_ms, found[after].gpu_milli) == (BEGIN_MS + 8000, 3000)


def test_what_makes_no_job_of_a_trace_is_counted() -> None:
    live = Live()
    live.submit(BEGIN_MS, spec())  # runs on
    live.submit(BEGIN_MS, spec(2, 4000))  # waits
    live.end(BEGIN_MS + 5000, live.submit(BEGIN_MS, spec(1, 0)))
    live.end(BEGIN_MS + 5000, live.submit(BEGIN_MS, spec(3, 500)))
    waiting = live.submit(BEGIN_MS + 6000, spec(9))
    live.tell(ev.JobCancelRequested(BEGIN_MS + 7000, waiting, "eva", 0))
    failed = live.submit(BEGIN_MS + 8000, spec())
    live.end(BEGIN_MS + 19_000, failed, Exit(code=1))
    found = export(live.events)
    assert found.left_out == {STILL_THERE: 2, NO_GPU: 1, SHARES: 1, NEVER_RAN: 1}
    assert [(job.name, job.work_ms) for job in found.jobs] == [(failed, 10_000)]


def test_a_deadline_is_what_the_job_should_meet() -> None:
    live = Live()
    job = live.submit(BEGIN_MS + 5, replace(spec(), deadline_ms=BEGIN_MS + 90_005, priority=3))
    live.end(BEGIN_MS + 9000, job)
    (found,) = export(live.events).jobs
    assert (found.slo_ms, found.priority, found.user) == (90_000, 3, "eva")


def test_jobs_that_were_forgotten_are_exported_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aimass.core.endings.OVER_KEPT", 2)
    live = Live("2x4xA")
    names = []
    for number in range(6):
        names.append(live.submit(BEGIN_MS + 10_000 * number, spec()))
        live.end(BEGIN_MS + 10_000 * number + 5000, names[-1])
    assert len(live.state.jobs) == 2
    assert [job.name for job in export(live.events).jobs] == names


def test_the_command_reads_a_journal_and_writes_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = Live("3x8xH100")
    live.tell(ev.QueuePut(BEGIN_MS, QueueSpec("q")))
    for number in range(4):
        job = live.submit(BEGIN_MS + 60_000 * number, replace(spec(number + 1), queue="q"))
        live.end(BEGIN_MS + 60_000 * number + 30_000, job)
    journal = SqliteJournal(tmp_path / "massd")
    journal.append(live.events, 1, journal.lead())
    journal.close()
    out = tmp_path / "jobs.jsonl.gz"
    words = ["sim", "export", "--journal", str(tmp_path / "massd"), "--out", str(out)]
    assert cli.run(words) == 0
    told = capsys.readouterr().err
    assert f"4 jobs in {out}" in told
    assert "--cluster 3x8xH100" in told
    jobs = list(read_trace(out))
    assert [job.gpu_milli for job in jobs] == [1000, 2000, 3000, 4000]
    assert {(job.work_ms, job.queue) for job in jobs} == {(29_000, "q")}
    assert cli.run(["sim", "run", "--trace", str(out), "--cluster", "3x8xH100"]) == 0


def test_what_is_no_journal_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sim", "export", "--journal", str(tmp_path / "none")]) == 3
    assert cli.run(["sim", "export", "--journal", str(tmp_path)]) == 3
    assert "there is no journal in" in capsys.readouterr().err
    journal = SqliteJournal(tmp_path)
    journal.append(Live().events, 1, journal.lead())
    journal.close()
    assert cli.run(["sim", "export", "--journal", str(tmp_path)]) == 1
    assert "the journal holds no job that makes a trace" in capsys.readouterr().err
