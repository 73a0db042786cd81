"""reconcile() as a table of cases, and as promises over every possible pair of worlds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.nodeagent.reconcile import (
    NO_LONGER_WANTED,
    Action,
    Fence,
    Forget,
    Launch,
    Local,
    Phase,
    ReservePort,
    ShardKey,
    Stop,
    Wanted,
    reconcile,
)

A = ShardKey("j1", 1, 0)
B = ShardKey("j1", 1, 1)
NEXT = ShardKey("j1", 2, 0)
RUN, PORT = Wanted(), Wanted(waits_for_port=True)
STOP = Wanted(stop=True, grace_ms=500, stop_reason="why")
NOTICE = Wanted(stop=True, grace_ms=500, stop_reason="why", notice_ms=70, notice_signal="SIGUSR1")
LIVE = [Phase.LAUNCHING, Phase.RUNNING]
WAITING = [Phase.PREPARED, Phase.INTENDED]

CASES: dict[str, tuple[dict[ShardKey, Wanted], dict[ShardKey, Local], list[Action]]] = {
    "new shard": ({A: RUN}, {}, [Launch(A)]),
    "rank 0 reserves": ({A: PORT}, {}, [ReservePort(A)]),
    "rank 1 waits": ({B: PORT}, {}, []),
    "reserved, port not spread yet": ({A: PORT}, {A: Local(Phase.PREPARED)}, []),
    "port known": ({A: RUN}, {A: Local(Phase.PREPARED)}, [Launch(A)]),
    "a crash cut the launch off": ({A: RUN}, {A: Local(Phase.INTENDED)}, [Launch(A)]),
    "already starting": ({A: RUN}, {A: Local(Phase.LAUNCHING)}, []),
    "runs": ({A: RUN}, {A: Local(Phase.RUNNING)}, []),
    "ended, end not acknowledged": ({A: RUN}, {A: Local(Phase.EXITED)}, []),
    "stop": ({A: STOP}, {A: Local(Phase.RUNNING)}, [Stop(A, 500, "why")]),
    "stop again": ({A: STOP}, {A: Local(Phase.RUNNING, 0, 500)}, []),
    "stop sooner": ({A: STOP}, {A: Local(Phase.RUNNING, 0, 501)}, [Stop(A, 500, "why")]),
    "notice": ({A: NOTICE}, {A: Local(Phase.RUNNING)}, [Stop(A, 500, "why", 70, "SIGUSR1")]),
    "notice again": ({A: NOTICE}, {A: Local(Phase.RUNNING, 0, 500, 70)}, []),
    "notice hurried": ({A: STOP}, {A: Local(Phase.RUNNING, 0, 500, 70)}, [Stop(A, 500, "why")]),
    "a notice never comes late": ({A: NOTICE}, {A: Local(Phase.RUNNING, 0, 500, 0)}, []),
    "stop before start": ({A: STOP}, {}, [Stop(A, 500, "why")]),
    "stopped": ({A: STOP}, {A: Local(Phase.EXITED)}, []),
    "given away": ({}, {A: Local(Phase.RUNNING, 70)}, [Stop(A, 70, NO_LONGER_WANTED)]),
    "acknowledged": ({}, {A: Local(Phase.EXITED)}, [Forget(A)]),
    "next attempt waits for the last": (
        {NEXT: RUN},
        {A: Local(Phase.RUNNING, 70)},
        [Stop(A, 70, NO_LONGER_WANTED)],
    ),
    "next attempt": ({NEXT: RUN}, {A: Local(Phase.EXITED)}, [Forget(A), Launch(NEXT)]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_done_in_each_case(case: str) -> None:
    """One row per situation; the name says which."""
    desired, local, actions = CASES[case]
    assert reconcile(desired, local) == actions


KEYS = st.builds(ShardKey, st.sampled_from(["j1", "j2"]), st.integers(1, 2), st.integers(0, 1))
TIME = st.integers(0, 3)
WANTED = st.builds(Wanted, st.booleans(), TIME, st.just(""), st.booleans(), TIME)
LOCAL = st.builds(Local, st.sampled_from(Phase), TIME, st.none() | TIME, TIME)
DESIRED_SETS, LOCAL_STATES = st.dictionaries(KEYS, WANTED), st.dictionaries(KEYS, LOCAL)


def done(local: dict[ShardKey, Local], actions: list[Action]) -> dict[ShardKey, Local]:
    """Give the local state once the agent has acted, before any shim has answered."""
    after = dict(local)
    for action in actions:
        match action:
            case ReservePort(key):
                after[key] = Local(Phase.PREPARED)
            case Launch(key):
                after[key] = Local(Phase.LAUNCHING)
            case Stop(key, grace_ms, _, notice_ms):
                held = after.get(key, Local(Phase.INTENDED))
                if held.stop_grace_ms is not None:
                    grace_ms = min(grace_ms, held.stop_grace_ms)
                    notice_ms = min(notice_ms, held.stop_notice_ms)
                alive = Local(held.phase, held.grace_ms, grace_ms, notice_ms)
                after[key] = alive if held.phase.is_live else Local(Phase.EXITED)
            case Forget(key):
                del after[key]
    return after


@given(DESIRED_SETS, LOCAL_STATES)
def test_acting_again_changes_nothing(
    desired: dict[ShardKey, Wanted], local: dict[ShardKey, Local]
) -> None:
    """Ends come to rest: at most the forgetting of what was just ended is left to do."""
    once = done(local, reconcile(desired, local))
    twice = done(once, reconcile(desired, once))
    assert reconcile(desired, twice) == []


@given(st.lists(DESIRED_SETS, max_size=6), LOCAL_STATES)
def test_no_shard_is_launched_twice(
    sets: list[dict[ShardKey, Wanted]], local: dict[ShardKey, Local]
) -> None:
    """Whatever sets arrive in whatever order: once per identity, one live attempt per rank."""
    started = {key for key, shard in local.items() if shard.phase not in WAITING}
    forgotten: set[ShardKey] = set()
    for desired in sets:
        actions = reconcile(desired, local)
        for action in actions:
            if isinstance(action, Launch) and action.key not in forgotten:
                assert action.key not in started
                others = [k for k in started if (k[0], k[2]) == (action.key[0], action.key[2])]
                assert not any(local[k].phase in LIVE for k in others if k in local)
                started.add(action.key)
            if isinstance(action, Forget):
                forgotten.add(action.key)  # from here on its folder remembers (test_life.py)
        local = done(local, actions)


@given(DESIRED_SETS, LOCAL_STATES)
def test_every_shard_gets_at_most_one_action(
    desired: dict[ShardKey, Wanted], local: dict[ShardKey, Local]
) -> None:
    """And stops go first, because they free what a launch may need."""
    actions = reconcile(desired, local)
    keys = [action.key for action in actions]
    assert len(keys) == len(set(keys))
    kinds = [isinstance(action, Stop) for action in actions]
    assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize(
    ("term", "generation", "is_admitted"),
    [(3, 7, True), (3, 8, True), (4, 1, True), (3, 6, False), (2, 99, False)],
)
def test_a_fence_admits_nothing_older(term: int, generation: int, is_admitted: bool) -> None:
    """A new term starts its generations anew; a repeat is harmless."""
    assert Fence(3, 7).admits(term, generation) is is_admitted


@given(KEYS)
def test_a_folders_name_names_its_shard(key: ShardKey) -> None:
    """Back and forth; other names are none of ours."""
    assert ShardKey.of_folder(key.folder) == key
    assert [ShardKey.of_folder(name) for name in ("x", ".1.2", "a.b.1", ".doomed-1")] == [None] * 4
