"""massctl sim validate, and what would have become of recorded jobs otherwise."""

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from aimass import cli
from aimass.core import events as ev
from aimass.core.apply_jobs import job_id_of
from aimass.core.model import Exit, JobId, JobState, NodeId
from aimass.core.spec import Checkpoint, Elastic, JobSpec, Need, Retry, Role
from aimass.core.speeds import SpeedOn
from aimass.policies.registry import ORDERS, make_policy
from aimass.scheduler.journal_sqlite import SqliteJournal
from aimass.simulator.clusters import parse_cluster, registrations
from aimass.simulator.counterfactual import again
from aimass.simulator.models import Costs
from aimass.simulator.observed import Observer
from aimass.simulator.recorded import ENDLESS, Delays, Leg, Recorded, Story, read
from aimass.simulator.run import run
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.validate import compare, recorded_policy
from aimass.simulator.world import Record
from tests.simulator.noted import events_of

SLOW = Costs(start_ms=5000, stop_ms=2000, checkpoint_ms=300_000)
FRIENDLY = Costs(start_ms=5000, stop_ms=2000)  # jobs that save when they are told to stop


def some_jobs() -> list[TraceJob]:
    """Give more jobs than fit."""
    chance, jobs, at_ms = random.Random(5), [], 0
    for number in range(36):
        at_ms += chance.randrange(200_000)
        work_ms, gpus = chance.randrange(1, 3_600_000), chance.choice((1, 2, 4, 8))
        jobs.append(
            TraceJob(f"{number}", at_ms, work_ms, 1000 * gpus, priority=chance.randrange(3))
        )
    return jobs


@cache
def lived(order: str, costs: Costs) -> list[ev.Event]:
    """Give the journal of a busy time."""
    kinds, policy = parse_cluster("2x4xA"), make_policy(order)
    return events_of(lambda: run(some_jobs(), kinds, policy, lambda _: None, costs))


@pytest.mark.parametrize("order", ["priority", "fifo-backfill", "srtf", "las"])
@pytest.mark.parametrize("costs", [Costs(), FRIENDLY, SLOW])
def test_what_was_lived_under_equal_delays_is_lived_again(order: str, costs: Costs) -> None:
    """Starts, stops and checkpoints that always take as long: nothing deviates, not by 1 ms."""
    recorded = read(lived(order, costs))
    found = compare(recorded, recorded_policy(recorded)[1])
    assert found.compared == found.jobs == 36
    assert found.live == found.simulated
    assert [deviation.by_ms for deviation in found.deviations] == [0] * 36


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "cluster"), [("fifo", "2x4xA"), ("fair", "3x4xB"), ("srtf", "2x4xA+2x4xB")]
)
def test_another_policy_and_cluster_give_what_a_run_of_the_trace_gives(
    order: str, cluster: str
) -> None:
    """Lived under `priority`; the same jobs from their trace, on that cluster, are the oracle."""
    kinds, ends = parse_cluster(cluster), dict[str, int]()

    def note(record: Record) -> None:
        ends[record.job.name] = record.end_ms - record.job.submit_ms

    run(some_jobs(), kinds, make_policy(order), note, SLOW)
    recorded = read(lived("priority", SLOW))
    seen = again(recorded, make_policy(order), None if cluster == "2x4xA" else kinds)
    assert {life.name: life.jct_ms for life in seen.lives.values()} == ends
    assert {life.name: life.jct_ms for life in recorded.seen.lives.values()} != ends


# ---- lives with every kind of trouble ------------------------------------------------------------

BEGIN_MS = 1_000_000
EARLY = ((), (0,), (40, 0), (0, 30, 10, 20))  # by rank; of gangs of so many
DELAYS = Delays(3000, 4000, 2000, 700, 900)


def troubled(seed: int) -> Recorded:
    """Give what comes from outside, and stories, as if they had been read from a journal."""
    chance, at_ms = random.Random(seed), BEGIN_MS
    outside: list[ev.Event] = [ev.ClusterCreated(at_ms, "live"), ev.TermStarted(at_ms, 1)]
    joined = list(registrations(parse_cluster("3x4xA+1x4xB"), at_ms))
    outside += joined
    stories = {}
    for number in range(1, 31):
        at_ms += chance.randrange(1, 120_000)
        job_id = job_id_of(number)
        outside.append(ev.JobSubmitted(at_ms, job_id, a_spec(chance), "eva"))
        stories[job_id] = a_story(chance, is_last=number == 30)
        others = [JobId(f"j{chance.randrange(1, number + 1)}") for _ in range(4)]
        node_id = NodeId(f"n{chance.randrange(4)}")
        lost = [ev.NodeSilent(at_ms, node_id, "no beat"), ev.LeaseExpired(at_ms + 40_000, node_id)]
        back = replace(joined[int(node_id[1:])], at_ms=at_ms + 60_000, incarnation=number + 1)
        trouble: list[list[ev.Event]] = [
            [ev.JobCancelRequested(at_ms + 1, others[0], "eva", 1000)],
            [ev.JobHeld(at_ms + 1, others[1], "eva"), ev.JobReleased(at_ms + 9, others[1], "eva")],
            [ev.JobRequeueRequested(at_ms + 1, others[2], "eva")],
            [ev.NodeCordoned(at_ms + 1, node_id, "eva", drain_ms=at_ms + 30_000)],
            [ev.NodeUncordoned(at_ms + 1, NodeId(f"n{n}"), "eva") for n in range(4)],
            [*lost, back],
            [],
            [],
        ]
        happened = chance.choice(trouble)
        if happened is trouble[0]:
            stories[others[0]].legs[-1] = Leg(ENDLESS) if chance.random() < 0.3 else Leg(60_000)
        outside += happened
        at_ms = max(at_ms, *(event.at_ms for event in outside[-3:]))
    outside += [ev.NodeUncordoned(at_ms, NodeId(f"n{n}"), "eva") for n in range(4)]
    # Whoever has no end of its own is cancelled late.
    for late, job_id in enumerate(stories):
        if stories[job_id].legs[-1].work_ms == ENDLESS:
            outside.append(ev.JobCancelRequested(at_ms + 10**8 + late, job_id, "eva", 0))
    return Recorded(Observer(), outside, stories, DELAYS, [], BEGIN_MS, at_ms)


def a_spec(chance: random.Random) -> JobSpec:
    """Give a job of any kind."""
    shards = chance.choice((1, 1, 2, 4))
    elastic = Elastic(1, 4, interval_ms=60_000, cost_ms=1000) if chance.random() < 0.2 else None
    role = Role("worker", shards, Need(gpu_milli=chance.choice((500, 1000))), ("work",), elastic)
    return JobSpec(
        "job",
        (role,),
        priority=chance.randrange(3),
        retry=Retry(limit=1, backoff_ms=20_000),
        checkpoint=Checkpoint("SIGUSR1", 1000),
        speeds=(SpeedOn("B", 0, 0, 2_000_000),),
    )


def a_story(chance: random.Random, is_last: bool) -> Story:
    """Give work, perhaps after a failure. Whether a job answers a notice is seen when it gets one,
    so all here do."""
    work = Leg(chance.randrange(1, 3_600_000) // 1000 * 1000, early_ms=chance.choice(EARLY))
    failed = Leg(chance.randrange(1, 600_000) // 1000 * 1000, Exit(code=3))
    legs = [failed, work] if chance.random() < 0.2 and not is_last else [work]
    starts_ms = {number: chance.randrange(1000, 9000) for number in range(1, 9)}
    stops_ms = {number: chance.randrange(2000, 5000) for number in range(1, 9)}
    return Story(legs, starts_ms, stops_ms, saves_when_told=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_cancels_holds_failures_lost_nodes_and_resizes_come_again(seed: int) -> None:
    """Live once from made-up stories; what the journal of that gives back lives the same."""
    made, policy = troubled(seed), make_policy("fair")
    journal = events_of(lambda: again(made, policy, has_own_delays=True))
    recorded = read(journal)
    assert 1000 <= recorded.delays.first_start_ms < 9000
    found = compare(recorded, policy, has_own_delays=True)
    assert found.compared >= 20
    assert (found.only_live, found.only_simulated) == ((), ())
    assert [(d.live.name, d.by_ms, d.why) for d in found.deviations if abs(d.by_ms) > 5] == []


def test_delays_are_the_medians_unless_its_own_are_asked_for() -> None:
    made, policy = troubled(0), make_policy("fair")
    recorded = read(events_of(lambda: again(made, policy, has_own_delays=True)))
    own = compare(recorded, policy, has_own_delays=True)
    medians = compare(recorded, policy)
    assert own.simulated["jct_mean_s"] != medians.simulated["jct_mean_s"]
    story = recorded.stories[JobId("j1")]
    story.starts_ms[1] += 60_000
    assert compare(recorded, policy).simulated == medians.simulated


def test_a_job_that_had_not_ended_takes_what_it_said(tmp_path: Path) -> None:
    events = lived("fifo", Costs())
    cut = events[: len(events) // 2]
    recorded = read(cut)
    running = len([e for e in cut if isinstance(e, ev.JobSubmitted)]) - len(recorded.seen.lives)
    assert recorded.guessed == running > 0
    assert len(again(recorded, make_policy("fifo")).lives) == len(recorded.seen.lives) + running


@pytest.mark.parametrize(("saved_after_ms", "every_ms"), [(-9000, 0), (0, 0), (5, 1000)])
def test_a_checkpoint_hardly_after_the_start_makes_no_save_at_each_moment(
    saved_after_ms: int, every_ms: int
) -> None:
    events = lived("fifo", Costs())
    last = max(at for at, event in enumerate(events) if isinstance(event, ev.ShardStarted))
    start = events[last]
    assert isinstance(start, ev.ShardStarted)
    at_ms = start.at_ms + max(0, saved_after_ms)
    age_ms = max(0, -saved_after_ms)
    saved = ev.CheckpointReported(at_ms, start.job_id, start.attempt, age_ms)
    recorded = read([*events[: last + 1], saved, *events[last + 1 :]])
    assert recorded.stories[start.job_id].save_every_ms == every_ms
    assert start.job_id in again(recorded, make_policy("fifo")).lives


@pytest.mark.parametrize("order", [*sorted(ORDERS), "optimus", "elasticflow"])
@pytest.mark.parametrize("place", ["best-fit", "spread"])
@pytest.mark.parametrize("moves", [0, 3])
def test_the_recorded_policy_is_made_again_with_its_options(
    order: str, place: str, moves: int
) -> None:
    policy = make_policy(order, place, 5, moves, 7 * 3_600_000)
    recorded = Recorded(Observer(), [], {}, DELAYS, [policy.tag], 0, 0)
    name, made = recorded_policy(recorded)
    assert (name, made.tag) == (order, policy.tag)


@pytest.mark.parametrize("tags", [[], ["mine@1+best-fit@3 promises=8"], ["nonsense"]])
def test_a_policy_that_is_not_known_is_asked_for(tags: list[str]) -> None:
    with pytest.raises(ValueError, match="fix: name one with --policy"):
        recorded_policy(Recorded(Observer(), [], {}, DELAYS, tags, 0, 0))


# ---- as a user sees it ---------------------------------------------------------------------------


def written(folder: Path, events: Iterable[ev.Event]) -> str:
    """Make a journal of the events."""
    journal = SqliteJournal(folder)
    journal.append(list(events), 1, journal.lead())
    journal.close()
    return str(folder)


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """Give a journal of a busy time under `priority`."""
    return written(tmp_path, lived("priority", SLOW))


def test_validate_prints_live_beside_simulated(
    journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sim", "validate", "--journal", journal, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["policy"], found["compared"]) == ("Validation", "priority", 36)
    assert [row["figure"] for row in found["figures"]][:2] == ["jct_mean_s", "jct_p95_s"]
    assert all(row["deviation"] == 0 for row in found["figures"])
    assert found["deviations"] == []


def test_validate_names_who_deviates_and_why(
    journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sim", "validate", "--journal", journal, "--policy", "fifo"]) == 0
    out = capsys.readouterr().out
    assert "JCT_MEAN" in out
    assert "longer when simulated" in out
    assert "36 of 36 jobs compared, simulated under fifo" in out


def test_replay_says_what_would_have_become_of_them(
    journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """More nodes: nobody is stopped, and all is over sooner."""
    assert cli.run(["sim", "replay", "--journal", journal, "--cluster", "40x4xA", "-ojson"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["policy"]) == ("Counterfactual", "priority")
    assert found["cluster"] == "40x4xA"
    figures = {row["figure"]: row for row in found["figures"]}
    assert figures["jct_mean_s"]["deviation"] < -0.1
    assert figures["restarts"]["simulated"] == 0 < figures["restarts"]["live"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["replay"], "say what to do with the journal"),
        (["replay", "--audit", "--re-decide"], "say what to do with the journal"),
        (["replay", "--audit", "--cluster", "1x1xA"], "--audit takes no policy or cluster"),
        (["replay", "--cluster", "nonsense"], "name a cluster such as 64x8xH100"),
        (["replay", "--policy", "nonsense"], "choose from fifo"),
        (["replay", "--policy", "fifo,las"], "more than one policy"),
        (["replay", "--policy", "fair", "--cluster", "1x1xC"], "ended only live"),
        (["validate", "--policy", "nonsense"], "choose from fifo"),
    ],
)
def test_what_cannot_be_asked_is_said(
    words: list[str], said: str, journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["sim", words[0], "--journal", journal, *words[1:]])
    captured = capsys.readouterr()
    assert said in captured.err + captured.out


def test_who_never_runs_on_a_cluster_too_small_is_counted_first_and_left_out(
    journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one node jobs of 8 GPUs have no room."""
    assert cli.run(["sim", "replay", "--journal", journal, "--cluster", "1x4xA", "-ojson"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    large = {f"j{at + 1}" for at, job in enumerate(some_jobs()) if job.gpu_milli == 8000}
    assert {*found["neverRan"]} == {*found["onlyLive"]} == large
    assert found["compared"] == 36 - len(large) > 0
    assert f"{len(large)} jobs that ran live never run when simulated" in captured.err


def test_who_was_cancelled_before_it_ran_in_one_of_both_is_not_compared() -> None:
    """Live all ran, and one was cancelled late; on another cluster it was still waiting then."""
    made, policy = troubled(0), make_policy("fair")
    recorded = read(events_of(lambda: again(made, policy, has_own_delays=True)))
    found = compare(recorded, policy, parse_cluster("1x4xA"))
    lives = recorded.seen.lives
    both = [d for d in found.deviations if d.live.attempts and d.simulated.attempts]
    assert len(both) == found.compared == len(found.deviations) > 0
    assert all(lives[job_id].state is not JobState.CANCELLED for job_id in found.never_ran)


def test_an_empty_journal_has_nothing_to_validate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path, lived("fifo", Costs())[:5])
    assert cli.run(["sim", "validate", "--journal", folder, "--policy", "fifo"]) == 1
    assert "no job of the journal ran and ended" in capsys.readouterr().err
