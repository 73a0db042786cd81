"""Writes the Standard Workload Format, and beside it what it has no field for (trace_swf)."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aimass.simulator.trace_swf import NUMBERS, QUEUE_PREFIX, SIDE, UNKNOWN
from aimass.simulator.trace_write import PACKED, fields_of, written
from aimass.simulator.tracejob import QUEUE, TraceJob

JOB_NUMBER_MAX = 10**12


def side_path(path: Path) -> Path:
    """jobs.swf.gz -> jobs.swf.jsonl."""
    whole = path.with_suffix("") if path.suffix in PACKED else path
    return whole.with_name(f"{whole.name}.jsonl")


def write_swf(jobs: Iterable[TraceJob], path: Path) -> int:
    """Write both files, and give how many jobs there are. Raises OSError and NotPacked.

    A job's number is its name if that is a number above the one before; users and queues are
    numbered likewise. Both together read back as the same jobs.
    """
    users, queues, last, count = _Numbers(""), _Numbers(QUEUE_PREFIX), 0, 0
    beside = side_path(path)
    with written(path) as file, written(beside) as side:  # the side file is there first
        file.write(f"; Version: 2.2\n; Note: processors are GPUs\n; {SIDE}: {beside.name}\n")
        for job in jobs:
            last = int(job.name) if _is_next(job.name, last) else last + 1
            count += 1
            numbers = [UNKNOWN] * NUMBERS
            numbers[0] = last
            numbers[4] = numbers[7] = max(1, -(-job.gpu_milli // 1000))
            numbers[10] = 1  # completed
            numbers[11] = users.of(job.user) if job.user else UNKNOWN
            numbers[14] = queues.of(job.queue) if job.queue != QUEUE else UNKNOWN
            words = [str(number) for number in numbers]
            words[1], words[3] = _seconds(job.submit_ms), _seconds(job.work_ms)
            words[8] = _seconds(job.told_ms) if job.told_ms else words[8]
            file.write(f"{' '.join(words)}\n")
            rest = _rest(job, numbers)
            if rest:
                side.write(f"{json.dumps({'job': last, **rest}, ensure_ascii=False)}\n")
    return count


def _rest(job: TraceJob, numbers: list[int]) -> dict[str, Any]:
    """The fields of the job that its numbers do not give back."""
    given: dict[str, Any] = {
        "id": str(numbers[0]),
        "gpus": numbers[7],
        "user": str(numbers[11]),
        "queue": f"{QUEUE_PREFIX}{numbers[14]}",
    }
    carried = ("submit_s", "run_s", "told_s")
    fields = {name: value for name, value in fields_of(job).items() if name not in carried}
    return {name: value for name, value in fields.items() if given.get(name) != value}


class _Numbers:
    """A number above 0 for each name; names that are the prefix and a number keep that one."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._found: dict[str, int] = {}
        self._taken: set[int] = set()
        self._last = 0

    def of(self, name: str) -> int:
        """O(1), over all names."""
        number = self._found.get(name)
        if number is None:
            own = name.removeprefix(self._prefix)
            number = int(own) if _is_number(own) and f"{self._prefix}{own}" == name else 0
            if not number or number in self._taken:
                while self._last + 1 in self._taken:
                    self._last += 1
                number = self._last = self._last + 1
            self._found[name] = number
            self._taken.add(number)
        return number


def _is_number(word: str) -> bool:
    is_plain = word.isascii() and word.isdigit() and not word.startswith("0")
    return is_plain and len(word) <= len(str(JOB_NUMBER_MAX)) and int(word) <= JOB_NUMBER_MAX


def _is_next(name: str, last: int) -> bool:
    return _is_number(name) and int(name) > last


def _seconds(ms: int) -> str:
    whole, rest = divmod(ms, 1000)
    return f"{whole}.{rest:03}" if rest else str(whole)
