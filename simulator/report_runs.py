"""What a report keeps of runs: figures, quantiles and courses; and means and bands over seeds."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from aimass.simulator.chart import Line
from aimass.simulator.clusters import Kinds
from aimass.simulator.run_summary import Row
from aimass.simulator.timeline import Course, QueueCourse, Timeline
from aimass.simulator.timeline import Row as NodesRow

# In thousandths: the tail is what people wait for.
QUANTILES = (*range(0, 990, 10), *range(990, 1001, 2))
HOUR_GPU_MS = 3_600_000 * 1000

Write = Callable[[Row], None]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One run. row: its summary. jct_s, wait_s: at QUANTILES, of jobs that ended."""

    row: Row
    jct_s: tuple[float, ...]
    wait_s: tuple[float, ...]
    course: Course


@dataclass(slots=True)
class Watch:
    """Sees one run. write: gets the row of every job as well. 16 bytes a job."""

    kinds: Kinds
    write: Write | None = None
    timeline: Timeline = field(init=False)
    _jct_s: "array[float]" = field(default_factory=lambda: array("d"))
    _wait_s: "array[float]" = field(default_factory=lambda: array("d"))

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.kinds)

    def job(self, row: Row) -> None:
        """Take the row of a job (see run_summary.job_row)."""
        if row["jct_s"] is not None:
            self._jct_s.append(row["jct_s"])
            self._wait_s.append(row["wait_s"])
        if self.write is not None:
            self.write(row)

    def drawn(self, row: Row) -> Drawn:
        """All of it, with the run's summary."""
        course = self.timeline.close(round(1000 * row["makespan_s"]))
        return Drawn(row, quantiles(self._jct_s), quantiles(self._wait_s), course)


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """The values at QUANTILES: the least that so many do not exceed; () of nothing."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return tuple(ordered[-(-last * each // 1000)] for each in QUANTILES) if ordered else ()


def by_policy(runs: Sequence[Drawn]) -> dict[str, list[Drawn]]:
    """The runs of each policy, in the order in which they come."""
    found: dict[str, list[Drawn]] = {}
    for run in runs:
        found.setdefault(run.row["policy"], []).append(run)
    return found


# ---- lines ---------------------------------------------------------------------------------------


def distribution(name: str, style: int, seeds: Sequence[tuple[float, ...]]) -> Line | None:
    """Which part of the jobs took at most so long: means over seeds, least and most as a band."""
    seeds = [seed for seed in seeds if seed]
    if not seeds:
        return None

    def edge(of: Callable[[Sequence[float]], float]) -> list[tuple[float, float]]:
        return [
            (of(values), part / 1000)
            for part, values in zip(QUANTILES, zip(*seeds, strict=True), strict=True)
        ]

    if len(seeds) == 1:
        return Line(name, style, edge(min))
    return Line(name, style, edge(_mean), edge(min), edge(max))


def over_time(
    name: str, style: int, courses: Sequence[Course], value: Callable[[Course, int], float]
) -> Line:
    """A value of each bin over the hours of the run. courses: equally wide (see alike)."""
    bins = max(course.bins for course in courses)
    width_s = courses[0].width_ms / 1000

    def edge(of: Callable[[Sequence[float]], float]) -> list[tuple[float, float]]:
        return [
            (
                (index + 0.5) * width_s,
                of([value(c, index) if index < c.bins else 0.0 for c in courses]),
            )
            for index in range(bins)
        ]

    if len(courses) == 1:
        return Line(name, style, edge(min))
    return Line(name, style, edge(_mean), edge(min), edge(max))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def held_part(course: Course, index: int) -> float:
    """Of the GPUs in service, the part that was held."""
    return course.held[index] / course.there[index] if course.there[index] else 0.0


def beside_part(course: Course, index: int) -> float:
    """Of the GPUs in service, the part that idled beside others that were held."""
    return course.beside[index] / course.there[index] if course.there[index] else 0.0


def waiting_part(course: Course, index: int) -> float:
    """The GPUs that waiting jobs ask for, as a part of those in service."""
    return course.waiting[index] / course.there[index] if course.there[index] else 0.0


def waiting_jobs(course: Course, index: int) -> float:
    """Jobs that waited, on average."""
    return course.waiting_jobs[index] / (course.span_ms(index) or 1)


# ---- courses -------------------------------------------------------------------------------------


def alike(courses: Sequence[Course], bins_max: int) -> list[Course]:
    """The courses in bins of one width, at most so many."""
    width_ms = max(course.width_ms for course in courses)
    length_ms = max(course.length_ms for course in courses)
    while -(-length_ms // width_ms) > bins_max:
        width_ms *= 2
    return [_coarser(course, width_ms) for course in courses]


def _coarser(course: Course, width_ms: int) -> Course:
    """The same in wider bins; width_ms: a multiple of its own."""
    each = width_ms // course.width_ms
    assert each * course.width_ms == width_ms, f"bins of {course.width_ms} do not fit {width_ms}"

    def merged(values: list[int]) -> list[int]:
        return [sum(values[i : i + each]) for i in range(0, len(values), each)]

    return replace(
        course,
        width_ms=width_ms,
        there=merged(course.there),
        held=merged(course.held),
        beside=merged(course.beside),
        waiting=merged(course.waiting),
        waiting_jobs=merged(course.waiting_jobs),
        rows=tuple(NodesRow(r.label, merged(r.there), merged(r.held)) for r in course.rows),
        queues=tuple(QueueCourse(q.name, merged(q.held), merged(q.asked)) for q in course.queues),
    )


# ---- fair shares ---------------------------------------------------------------------------------


def dues(course: Course) -> dict[str, int]:
    """What each queue was due, milli-GPU x ms: bin by bin its part of an equal division.

    A queue that asks for less than its part gets what it asks, and the others share the rest
    (max-min fairness; queues of a trace weigh the same). O(bins x queues log queues).
    """
    found = dict.fromkeys((queue.name for queue in course.queues), 0)
    for index, there in enumerate(course.there):
        left = there
        asking = sorted((queue.asked[index], queue.name) for queue in course.queues)
        first = bisect_left(asking, (1, ""))
        for number in range(first, len(asking)):
            asked, name = asking[number]
            part = min(asked, left // (len(asking) - number))
            found[name] += part
            left -= part
    return found


def shares(course: Course) -> dict[str, float]:
    """Of what each queue was due, the part that it held; without queues that asked for nothing."""
    due = dues(course)
    return {q.name: sum(q.held) / due[q.name] for q in course.queues if due[q.name]}
