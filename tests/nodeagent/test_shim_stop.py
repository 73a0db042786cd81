"""How an end goes on, as a table of orders and times: no process, no clock."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from aimass.nodeagent.shim_stop import Ending, checkpoint_stamp

WHY = ("STOPPED", "why")
LATER = ("LEASE_EXPIRED", "later")
AGAIN_MS = 1000
TIMES = st.integers(0, 50)


def walk(ending: Ending, until_ms: int, *, since_ms: int = 0, answered_ms: int = -1) -> list[str]:
    """Give what is due at which time, looking at every millisecond."""
    seen = []
    for now_ms in range(since_ms, until_ms):
        if ending.takes_term(now_ms, 0 <= answered_ms <= now_ms):
            seen.append(f"TERM {now_ms}")
        if ending.takes_kill(now_ms, AGAIN_MS):
            seen.append(f"KILL {now_ms}")
    return seen


def test_without_a_notice_sigterm_is_due_at_once() -> None:
    ending = Ending()
    assert ending.next_ms() is None
    assert ending.order(WHY, 5, grace_ms=20)
    assert walk(ending, 100) == ["TERM 5", "KILL 25"]


def test_a_notice_lasts_its_time_and_the_grace_begins_after_it() -> None:
    ending = Ending()
    ending.order(WHY, 5, grace_ms=20, notice_ms=30)
    assert (ending.is_noticed, ending.next_ms()) == (True, 35)
    assert walk(ending, 100) == ["TERM 35", "KILL 55"]
    assert not ending.is_noticed


def test_an_answer_ends_the_notice() -> None:
    ending = Ending()
    ending.order(WHY, 5, grace_ms=20, notice_ms=30)
    assert walk(ending, 100, answered_ms=11) == ["TERM 11", "KILL 31"]


def test_the_first_cause_stays() -> None:
    ending = Ending()
    assert ending.order(WHY, 0, 20, 30)
    assert not ending.order(LATER, 1, 2)
    assert ending.cause == WHY
    assert walk(ending, 100) == ["TERM 1", "KILL 3"]


def test_the_same_order_again_changes_nothing_at_any_time() -> None:
    """An agent that has restarted repeats it: during the notice, during the grace, after."""
    for again_ms in (1, 29, 31, 49):
        ending = Ending()
        ending.order(WHY, 0, grace_ms=20, notice_ms=30)
        seen = walk(ending, again_ms)
        ending.order(WHY, again_ms, grace_ms=20, notice_ms=30)
        assert seen + walk(ending, 100, since_ms=again_ms) == ["TERM 30", "KILL 50"]


def test_a_kill_is_repeated_until_nothing_is_left() -> None:
    ending = Ending()
    ending.order(WHY, 0, grace_ms=0)
    assert walk(ending, 2 * AGAIN_MS + 1) == ["TERM 0", "KILL 0", "KILL 1000", "KILL 2000"]


def test_an_end_that_comes_before_a_deadline_is_known() -> None:
    """The lease asks: neither a notice nor a grace may outlast it."""
    ending = Ending()
    assert not ending.is_over_by(100)
    ending.order(WHY, 0, grace_ms=20, notice_ms=30)
    assert not ending.is_over_by(100)  # SIGTERM has not been sent: nothing is certain
    walk(ending, 31)
    assert (ending.is_over_by(49), ending.is_over_by(50)) == (False, True)


@given(st.lists(st.tuples(TIMES, TIMES, TIMES), min_size=1, max_size=5))
def test_a_later_order_never_delays_the_end(orders: list[tuple[int, int, int]]) -> None:
    """Whatever else arrives: at most as late as each order alone would have it, SIGTERM first."""
    at_ms, ending, seen = 0, Ending(), []
    latest_ms = 10_000
    for wait_ms, grace_ms, notice_ms in orders:
        seen += walk(ending, at_ms + wait_ms, since_ms=at_ms)
        at_ms += wait_ms
        ending.order(WHY, at_ms, grace_ms, notice_ms)
        latest_ms = min(latest_ms, at_ms + notice_ms + grace_ms)
    seen += walk(ending, 900, since_ms=at_ms)
    kinds = [word.split()[0] for word in seen]
    assert kinds == ["TERM"] + ["KILL"] * (len(kinds) - 1)
    assert int(seen[1].split()[1]) <= latest_ms


def test_a_stamp_changes_with_each_way_to_mark_a_checkpoint(tmp_path: Path) -> None:
    """None, then another one for each of writing, touching and replacing."""
    path, fresh = tmp_path / "checkpoint.done", tmp_path / "fresh"
    stamps = [checkpoint_stamp(str(path))]
    path.write_text("")
    stamps.append(checkpoint_stamp(str(path)))
    os.utime(path, ns=(1, 1))
    stamps.append(checkpoint_stamp(str(path)))
    fresh.write_text("")
    os.utime(fresh, ns=(1, 1))
    fresh.replace(path)
    stamps.append(checkpoint_stamp(str(path)))
    assert stamps[0] is None
    assert len(set(stamps)) == 4
