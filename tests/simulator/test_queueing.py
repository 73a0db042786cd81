"""Queueing in virtual time: who starts when, against a replay that tries everybody every time."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.shapes import Shape
from aimass.policies.pack_engine import NodeSize, Packer
from aimass.policies.pack_mix import mix_of, typical_classes
from aimass.policies.pack_policies import PackPolicy
from aimass.simulator.pack_files import PackNode
from aimass.simulator.packing import packer_of
from aimass.simulator.queueing import PATIENCE_MS, replay
from aimass.simulator.queueing_load import Job
from aimass.simulator.queueing_meter import SAMPLES, Outcome, Span
from aimass.simulator.queueing_report import runnable

Places = list[tuple[int, tuple[int, ...]]]


def shape(gpus: int, gpu_milli: int = 1000, cpu_milli: int = 0, model: str = "") -> Shape:
    """Make a shape; memory does not matter here."""
    return Shape(cpu_milli, 0, gpus, gpu_milli if gpus else 0, (model,) if model else ())


def job(arrival_ms: int, life_ms: int, gpus: int = 1, pods: int = 1, gpu_milli: int = 1000) -> Job:
    """Make a job."""
    return Job(shape(gpus, gpu_milli), pods, arrival_ms, life_ms)


def cluster(*gpus: int) -> list[PackNode]:
    """Make nodes by their number of GPUs; models alternate."""
    return [PackNode(f"n{i}", 10_000, 1000, each, "AB"[i % 2]) for i, each in enumerate(gpus)]


def played(
    nodes: Sequence[PackNode], jobs: Sequence[Job], span: Span, name: str, promises: int = 0
) -> Outcome:
    """Replay jobs with one policy."""
    packer = packer_for(nodes, jobs, name)
    classes = typical_classes([job.shape for job in jobs])
    return replay(packer, jobs, mix_of(classes, packer.models), span, promises)


def packer_for(nodes: Sequence[PackNode], jobs: Sequence[Job], name: str) -> Packer:
    """Give idle nodes and a policy that knows the jobs' mix."""
    return packer_of(nodes, PackPolicy(name, typical_classes([job.shape for job in jobs])), 0)


def test_who_does_not_fit_waits_and_lets_others_pass() -> None:
    """Two GPUs: the second pair waits for both, a single one that fits beside it does not."""
    jobs = [
        job(0, 100, gpus=1),
        job(10, 100, gpus=2),  # starts at 100
        job(20, 30, gpus=1),  # at once
        job(60, 140, gpus=1),  # passes at once; the pair starts at 200
        job(90, 1, gpus=1),  # at 100, behind nobody of its kind
    ]
    outcome = played(cluster(2), jobs, Span(0, 1000, 1000), "best-fit")
    assert sorted(outcome.waits_ms) == [0, 0, 0, 10, 190]
    assert (outcome.unstarted, outcome.waits_8_ms) == (0, [])


def test_one_shape_starts_in_the_order_of_arrival() -> None:
    """Each takes the GPU of the one before."""
    outcome = played(cluster(1), [job(at, 50) for at in (0, 1, 2, 3)], Span(0, 9, 999), "fgd")
    assert outcome.waits_ms == [0, 49, 98, 147]


def test_a_gang_starts_whole_or_waits() -> None:
    """Two nodes of 8: the gang of two finds one free, takes none, and starts when both are."""
    jobs = [job(0, 100, gpus=8), job(10, 50, gpus=8, pods=2), job(20, 200, gpus=8)]
    outcome = played(cluster(8, 8), jobs, Span(0, 500, 500), "best-fit")
    assert sorted(outcome.waits_8_ms) == [0, 0, 210]


def test_who_never_starts_has_waited_until_the_end() -> None:
    """And only jobs that arrive in the counted time, and ask for GPUs, are counted."""
    jobs = [job(0, 900), job(50, 1), job(60, 1), Job(shape(0, cpu_milli=9), 1, 60, 1), job(200, 1)]
    outcome = played(cluster(1), jobs, Span(10, 100, 500), "best-fit")
    assert (outcome.waits_ms, outcome.unstarted) == ([450, 440], 2)


def test_means_over_time_are_integrals() -> None:
    """Half the GPUs for 400 of 600 counted ms; one job waits from 100 to 500 of all 800."""
    jobs = [job(100, 400, gpus=2), job(100, 500, gpus=3)]
    outcome = played(cluster(4), jobs, Span(0, 500, 800), "best-fit")
    assert outcome.alloc_pct == pytest.approx(50 * 400 / 500)
    part_ms = 800 / SAMPLES
    assert sum(each.waiting for each in outcome.samples) * part_ms == pytest.approx(400)
    gpu_ms = sum(each.alloc_pct for each in outcome.samples) * part_ms * 4 / 100
    assert gpu_ms == pytest.approx(2 * 400 + 3 * 300)
    assert [each.at_ms for each in outcome.samples[-1:]] == [800]


def naive(packer: Packer, jobs: Sequence[Job], span: Span) -> list[tuple[int, int, Places]]:
    """Try every waiting job after every end, and give (start, job, places) in order."""
    waiting: list[int] = []
    running: list[tuple[int, int, Places]] = []
    started: list[tuple[int, int, Places]] = []

    def start(number: int, now: int) -> bool:
        places: Places = []
        for _ in range(jobs[number].pods):
            choice = packer.best(jobs[number].shape)
            if choice is None:
                for node, devices in places:
                    packer.release(node, jobs[number].shape, devices)
                return False
            packer.take(choice.node, jobs[number].shape, choice.devices)
            places.append((choice.node, choice.devices))
        running.append((now + jobs[number].life_ms, number, places))
        started.append((now, number, places))
        return True

    times = {each.arrival_ms for each in jobs}
    while times and (now := min(times)) < span.stop:
        times.remove(now)
        for end, number, places in [each for each in running if each[0] == now]:
            running.remove((end, number, places))
            for node, devices in places:
                packer.release(node, jobs[number].shape, devices)
        waiting = [number for number in waiting if not start(number, now)]
        for number, each in enumerate(jobs):
            if each.arrival_ms == now and not start(number, now):
                waiting.append(number)
        times.update(end for end, _, _ in running)
    return started


random_jobs = st.lists(
    st.builds(
        job,
        st.integers(0, 60),
        st.integers(1, 40),
        gpus=st.sampled_from([0, 1, 1, 1, 2, 3]),
        pods=st.sampled_from([1, 1, 2]),
    ).map(lambda each: each._replace(shape=each.shape._replace(cpu_milli=each.life_ms * 90))),
    max_size=25,
).map(lambda jobs: sorted(jobs, key=lambda each: each.arrival_ms))
shares = st.lists(st.sampled_from([200, 500, 810]), min_size=25, max_size=25)


@settings(max_examples=60)
@given(random_jobs, shares, st.sampled_from(["best-fit", "fgd"]))
def test_looking_only_where_something_ended_changes_nothing(
    jobs: list[Job], milli: list[int], policy: str
) -> None:
    """The same jobs start at the same times, and use the same time of the same GPUs."""
    jobs = [
        each._replace(shape=each.shape._replace(gpu_milli=share)) if each.shape.gpus == 1 else each
        for each, share in zip(jobs, milli, strict=False)
    ]
    nodes, span = cluster(3, 2, 3), Span(0, 200, 200)
    outcome = played(nodes, jobs, span, policy)
    started = naive(packer_for(nodes, jobs, policy), jobs, span)
    waits = [now - jobs[number].arrival_ms for now, number, _ in started if jobs[number].shape.gpus]
    never = sum(bool(each.shape.gpus) for each in jobs) - len(waits)
    assert outcome.unstarted == never
    assert outcome.waits_ms[: len(waits)] == waits
    gpu_ms = 0
    for now, number, _ in started:
        milli_all = jobs[number].shape.total_milli * jobs[number].pods
        gpu_ms += milli_all * (min(span.stop, now + jobs[number].life_ms) - now)
    assert outcome.alloc_pct == pytest.approx(100 * gpu_ms / 8000 / span.stop)


@pytest.mark.parametrize(("promises", "least_s", "most_s"), [(0, 20_400, 20_400), (1, 3600, 6100)])
def test_a_promise_ends_being_passed(promises: int, least_s: int, most_s: int) -> None:
    """One GPU of two is always busy, to the end, or until nothing else starts there for a while.

    That is from the first event after an hour, 1000 s at most, to the end of what runs, 1500 s.
    """
    small = [job(at * 1000, 1_500_000) for at in range(0, 20_000, 1000)]
    jobs = sorted([*small, job(100_000, 1000, gpus=2)], key=lambda each: each.arrival_ms)
    span = Span(50_000, 150_000, 30_000_000)
    (wait_ms,) = played(cluster(2), jobs, span, "best-fit", promises).waits_ms
    assert least_s <= wait_ms / 1000 <= most_s


def test_others_start_beside_a_promise() -> None:
    """Of two nodes the one that is free sooner is kept, and small jobs go on on the other."""
    hour = PATIENCE_MS
    jobs = [
        *(job(0, 4 * hour), job(1, 6 * hour)),  # best fit: both on the first node of two GPUs
        job(2, 5 * hour, gpus=2),  # on the second
        job(3, hour, gpus=2),  # promised the second after an hour, starts when it is free: 5 h
        job(2 * hour, hour, gpus=1),  # waits for the first node: 4 h
    ]
    outcome = played(cluster(2, 2), jobs, Span(0, 9 * hour, 9 * hour), "best-fit", 1)
    assert [round(each / hour, 3) for each in sorted(outcome.waits_ms)] == [0, 0, 0, 2, 5]


def slowed(jobs: Sequence[Job], factor: int) -> list[Job]:
    """Make all times longer."""
    return [
        each._replace(arrival_ms=each.arrival_ms * factor, life_ms=each.life_ms * factor)
        for each in jobs
    ]


@settings(max_examples=60)
@given(random_jobs, st.integers(0, 3))
def test_no_device_is_ever_given_twice(jobs: list[Job], promises: int) -> None:
    """Nor more CPU than a node has: counted beside the packer, at each take and release.

    And whoever can start at all has started in the end: with time, all that was kept is given back.
    """
    nodes = cluster(3, 2, 3)
    jobs = runnable(slowed(jobs, PATIENCE_MS // 7), nodes)
    classes = typical_classes([each.shape for each in jobs])
    packer = Counting(nodes, PackPolicy("fgd", classes))
    span = Span(0, 10**9, 10**12)
    outcome = replay(packer, jobs, mix_of(classes, packer.models), span, promises)
    assert (outcome.unstarted, len(outcome.waits_ms)) == (
        0,
        sum(each.shape.gpus > 0 for each in jobs),
    )
    assert not any(packer.used.values())


class Counting(Packer):
    """A packer that counts what is taken on its own, and fails when that is too much."""

    def __init__(self, nodes: Sequence[PackNode], policy: PackPolicy) -> None:
        super().__init__(policy, len(nodes))
        self.of_node = nodes
        self.used: Counter[tuple[int, int]] = Counter()  # milli by (node, device); CPU is device -1
        for number, node in enumerate(nodes):
            size = NodeSize(node.cpu_milli, node.memory_mib, (1000,) * node.gpus, node.model)
            self.set_node(number, size)

    def take(self, node: int, shape: Shape, devices: tuple[int, ...]) -> None:
        """Count, then take."""
        self._note(node, shape, devices, 1)
        super().take(node, shape, devices)

    def release(self, node: int, shape: Shape, devices: tuple[int, ...]) -> None:
        """Count, then release."""
        self._note(node, shape, devices, -1)
        super().release(node, shape, devices)

    def _note(self, node: int, shape: Shape, devices: tuple[int, ...], sign: int) -> None:
        assert len(set(devices)) == shape.gpus
        self.used[node, -1] += sign * shape.cpu_milli
        assert 0 <= self.used[node, -1] <= self.of_node[node].cpu_milli
        for device in devices:
            assert device < self.of_node[node].gpus
            self.used[node, device] += sign * shape.gpu_milli
            assert 0 <= self.used[node, device] <= 1000
