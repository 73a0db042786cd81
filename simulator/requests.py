"""Logs of requests to services of language and image models, and the replicas that they call for.

Of a request only its time counts. So many requests a second are one replica's work; how many of
them an interval calls for is rounded up. Replicas are added as the need grows, and the youngest
leave first; each is a job that lives as long as it was needed.
"""

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

from aimass.simulator.pack_files import FileProblem, numbered_lines, quoted, split_fields
from aimass.simulator.tracejob import TraceJob

USER = "service"
INTERVALS_MAX = 10_000_000

# Column of the time, and others by which such a log is known.
_CSV = {
    "TIMESTAMP": {"ContextTokens", "GeneratedTokens"},  # Azure, 2023: language models
    "gmt_create": {"exec_time_seconds", "predict_type"},  # Alibaba, 2026: images
}
_JSON = {"timestamp", "input_length", "output_length"}  # Mooncake, 2025; ms


def is_requests(line: str) -> bool:
    """Whether such a log begins with that line."""
    if line.lstrip().startswith("{"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and {*value} >= _JSON
    header = {*line.split(",")}
    return any(column in header and others <= header for column, others in _CSV.items())


def request_times_ms(path: Path) -> Iterator[int]:
    """When each request came, on the log's own clock, in its order. O(1) memory.

    Raises FileProblem.
    """
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None or not is_requests(first[1]):
        known = "; ".join(f"{name},{','.join(sorted(rest))}" for name, rest in _CSV.items())
        what = "no log of requests that is known"
        fix = f"give CSV with {known}; or JSON lines with {', '.join(sorted(_JSON))}"
        raise FileProblem(path, 1, what, fix)
    if first[1].lstrip().startswith("{"):
        yield _json_ms(path, *first)
        for number, line in lines:
            yield _json_ms(path, number, line)
        return
    header = split_fields(path, *first)
    at = next(header.index(column) for column in _CSV if column in header)
    for number, line in lines:
        fields = split_fields(path, number, line)
        if len(fields) != len(header):
            what = f"{len(fields)} fields below a header of {len(header)}"
            raise FileProblem(path, number, what, "give every row one field for each column")
        yield _date_ms(path, number, fields[at])


def _json_ms(path: Path, number: int, line: str) -> int:
    try:
        found = json.loads(line, parse_float=Decimal)["timestamp"]
        is_number = isinstance(found, int | Decimal) and not isinstance(found, bool)
        if not is_number or not 0 <= found < 10**15:
            raise ValueError(f"timestamp is {found!r}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        fix = "write a JSON object with its timestamp in ms on every line"
        raise FileProblem(path, number, f"no request ({error})", fix) from None
    return int(found)


def _date_ms(path: Path, number: int, text: str) -> int:
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        fix = "write it as 2023-11-16 18:15:46"
        raise FileProblem(path, number, f"the time is {quoted(text)}", fix) from None
    # All in one zone, whichever it is: only differences count.
    since = at.replace(tzinfo=datetime.UTC) - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return since // datetime.timedelta(milliseconds=1)


def counted(times_ms: Iterator[int], interval_ms: int) -> list[int]:
    """Requests in each interval, from that of the first to that of the last; in any order.

    O(intervals) memory. Raises ValueError for more than INTERVALS_MAX.
    """
    counts = Counter(at_ms // interval_ms for at_ms in times_ms)
    if not counts:
        return []
    first, last = min(counts), max(counts)
    if last - first >= INTERVALS_MAX:
        raise ValueError("its times lie too far apart; fix: look for wrong ones, or --interval 1h")
    return [counts[at] for at in range(first, last + 1)]


def replica_jobs(
    counts: list[int],
    interval_ms: int,
    per_replica_milli: int,
    shape: Callable[[str, int, int], TraceJob],
) -> Iterator[TraceJob]:
    """The replicas that those requests call for, as jobs by submission. O(intervals) memory.

    per_replica_milli: thousandths of a request a second that one replica serves. shape: makes the
    job of a name, a time of submission and a run time in ms.
    """
    capacity = per_replica_milli * interval_ms  # in millionths of a request
    alive: list[int] = []  # when each was added, the oldest first
    found: list[tuple[int, int]] = []
    for at, count in enumerate([*counts, 0]):
        needed = -(-count * 1_000_000 // capacity)
        while len(alive) > needed:
            begin = alive.pop()
            found.append((begin, at - begin))
        alive += [at] * (needed - len(alive))
    found.sort()
    for number, (begin, intervals) in enumerate(found):
        yield shape(f"r{number}", begin * interval_ms, intervals * interval_ms)
