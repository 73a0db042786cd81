"""What a decision answers about promises without a trial on the draft is what a trial would say."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from aimass.core import among, promise
from aimass.core.feasible import Refusal
from aimass.core.model import Job, JobState
from aimass.core.plan import Planned
from aimass.core.search import Search
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role

HOUR_MS = 3_600_000


@pytest.mark.parametrize("seed", range(2))
def test_quick_answers_are_those_of_a_trial(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long queues behind full nodes, where CPUs are as scarce as GPUs."""
    told: Counter[tuple[str, bool | None]] = Counter()
    _compare(monkeypatch, told)
    chance, world = random.Random(seed), World(make_policy("fifo-backfill"))
    for node in ("n1", "n2", "n3"):
        world.join(node, inventory(node, gpus(node, 4), cpus=16))
    for _ in range(70):
        active = sorted(world.cluster.active.values(), key=lambda job: job.submit_seq)
        if active and chance.random() < 0.35:
            world.exit(chance.choice(active))
        elif chance.random() < 0.1:
            world.wait(HOUR_MS // 2)
        else:
            shards, whole = chance.choice(((1, 1), (1, 1), (1, 2), (1, 4), (2, 2), (2, 4)))
            roles = one_role(shards, gpus=whole, cpus=chance.choice((0, 1, 4)))
            hours = chance.choice((1, 2, 5))
            priority = chance.choice((0, 0, 0, 1))
            world.submit(roles, expected_ms=hours * HOUR_MS, priority=priority)
        world.settle()
        for job in list(world.cluster.active.values()):
            if job.state is JobState.PLACED:
                world.start(job)
    for name in ("clear", "fits"):
        assert told[name, True]
        assert told[name, False]


def _compare(monkeypatch: pytest.MonkeyPatch, told: Counter[tuple[str, bool | None]]) -> None:
    """Ask twice, and count what was answered."""
    is_clear, fits_without = promise._is_clear, among._fits_without

    def clear(search: Search, job: Job, old: Planned) -> bool | None:
        answer = is_clear(search, job, old)
        told["clear", answer] += 1
        if answer is not None:
            with monkeypatch.context() as only:
                only.setattr(promise, "_is_clear", lambda *_: None)
                assert promise.holds(search, job, old) is answer
        return answer

    def fits(search: Search, job: Job, promises: Sequence[Planned]) -> bool | None:
        answer = fits_without(search, job, promises)
        told["fits", answer] += 1
        if answer is not None:
            quota: list[Refusal] = []
            mark = search.draft.checkpoint()
            search.lift([made for made in promises if made.job_id not in search.aside])
            placed = search.in_some_form(job, quota)
            search.draft.rollback(mark)
            assert quota or (placed is not None) is answer
        return answer

    monkeypatch.setattr(promise, "_is_clear", clear)
    monkeypatch.setattr(among, "_fits_without", fits)
