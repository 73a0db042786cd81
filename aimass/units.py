"""Human units to integers and back: milli-GPU, milli-CPU, MiB, ms, epoch ms, indexes.

Each parser raises ValueError with what is allowed; job files and command-line flags share them.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

AMOUNT_MAX = 2**40  # of any resource: far above every machine, far below 64-bit overflow
DURATION_MS_MAX = 24 * 3600 * 1000
SPAN_MS_MAX = 10 * 365 * 24 * 3600 * 1000
TIME_MS_MAX = 253_402_300_799_000  # the last second of the year 9999
INDEXES_MAX = 10_000  # tasks of one array
SIGNALS = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGWINCH")

_MEMORY = re.compile(r"(\d{1,13})(?:\.(\d{1,3}))?[ ]?([KMGT])(?:i?B)?\Z")
_MEMORY_BYTES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_DURATION = re.compile(
    r"(?:(\d{1,5})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?\Z"
)
_DURATION_MS = (86_400_000, 3_600_000, 60_000, 1000, 1)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{3})?)?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANGE = re.compile(r"(\d{1,13})(?:-(\d{1,13})(?::(\d{1,13}))?)?\Z", re.ASCII)

GPUS_ALLOWED = "whole GPUs (0, 1, 2 …) or a share of one (0.25), at most three decimals"
CPUS_ALLOWED = "a number of CPU cores, 0 or more, at most three decimals"
MEMORY_ALLOWED = "an amount with its unit: 512MiB, 64GiB, 1.5TiB"
DURATION_ALLOWED = "a time of at most 24h with its unit: 30s, 1m30s, 2h, 500ms"
SPAN_ALLOWED = "a time with its unit, at most ten years: 90s, 30m, 12h, 7d12h"
TIME_ALLOWED = "a time with its zone, as 2026-11-22T01:00Z or …T01:00+02:00, or from now: +2h"
INDEXES_ALLOWED = f'indexes as text, as "0-99" or "0-98:2,200"; at most {INDEXES_MAX} tasks'

INDEXES_TOO_MANY = f'at most {INDEXES_MAX} tasks: indexes as text, as "0-99" or "0-98:2,200"'


def gpu_milli(value: object) -> int:
    """Turn 2 or 0.25 into 2000 or 250."""
    milli = _milli(value)
    if milli is None or (milli > 1000 and milli % 1000):
        raise ValueError(GPUS_ALLOWED)
    return milli


def cpu_milli(value: object) -> int:
    """Turn 1.5 into 1500."""
    milli = _milli(value)
    if milli is None:
        raise ValueError(CPUS_ALLOWED)
    return milli


def _milli(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= AMOUNT_MAX // 1000:  # NaN fails this too
        return None
    exact = float(value) * 1000
    milli = round(exact)
    return milli if abs(exact - milli) < 1e-6 else None


def memory_mib(value: object) -> int:
    """Turn "64GiB" into 65536. KB, MB, GB and TB mean the same as KiB, MiB, GiB and TiB.

    What is not a whole number of MiB is rounded up: a job never gets less than it asked for.
    """
    match = _MEMORY.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(MEMORY_ALLOWED)
    unit = _MEMORY_BYTES[match[3]]
    decimals = match[2] or ""
    size = int(match[1] + decimals) * unit
    mib: int = -(-size // (int(10 ** len(decimals)) * 2**20))
    if mib > AMOUNT_MAX:
        raise ValueError(MEMORY_ALLOWED)
    return mib


def duration_ms(value: object) -> int:
    """Turn "1m30s" into 90000."""
    return _span(value, DURATION_MS_MAX, DURATION_ALLOWED)


def span_ms(value: object) -> int:
    """Turn "7d12h" into 648000000: what may last much longer than a day."""
    return _span(value, SPAN_MS_MAX, SPAN_ALLOWED)


def _span(value: object, most_ms: int, allowed: str) -> int:
    match = _DURATION.match(value) if isinstance(value, str) and value else None
    if not match:
        raise ValueError(allowed)
    parts = zip(match.groups(), _DURATION_MS, strict=True)
    total = sum(int(count) * unit for count, unit in parts if count)
    if total > most_ms:
        raise ValueError(allowed)
    return total


def time_ms(value: object, now_ms: int) -> int:
    """Turn RFC 3339 (seconds may be missing) or "+2h" from `now_ms` into epoch milliseconds."""
    if isinstance(value, str) and value.startswith("+"):
        return now_ms + _span(value[1:], SPAN_MS_MAX, TIME_ALLOWED)
    if not isinstance(value, str) or not _TIME.match(value):
        raise ValueError(TIME_ALLOWED)
    try:
        at_ms = (datetime.fromisoformat(value) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        raise ValueError(TIME_ALLOWED) from None
    if not 0 < at_ms <= TIME_MS_MAX:
        raise ValueError(TIME_ALLOWED)
    return at_ms


def time_text(ms: int) -> str:
    """Turn epoch milliseconds into RFC 3339 in UTC; parses back to the same."""
    text = (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def indexes(value: object) -> tuple[int, ...]:
    """Turn "0-6:2,9" into (0, 2, 4, 6, 9): rising, each once."""
    if not isinstance(value, str) or not value.strip() or len(value) > 2**17:
        raise ValueError(INDEXES_ALLOWED)
    found: set[int] = set()
    for part in value.split(","):
        match = _RANGE.match(part.strip())
        if not match:
            raise ValueError(INDEXES_ALLOWED)
        low, step = int(match[1]), int(match[3] or 1)
        high = int(match[2] or low)
        # Counted before it is built: "0-999999999999" is no way to fill a memory.
        if high < low or step < 1:
            raise ValueError(INDEXES_ALLOWED)
        if (high - low) // step < INDEXES_MAX:
            before = len(found)
            found.update(numbers := range(low, high + 1, step))
            if len(found) < before + len(numbers):
                raise ValueError(f"{INDEXES_ALLOWED}, each named once")
        if (high - low) // step >= INDEXES_MAX or len(found) > INDEXES_MAX:
            raise ValueError(INDEXES_TOO_MANY)
    if max(found) > AMOUNT_MAX:
        raise ValueError(INDEXES_ALLOWED)
    return tuple(sorted(found))


def indexes_text(numbers: Iterable[int]) -> str:
    """Turn (0, 2, 4, 6, 9) into "0-6:2,9"; the numbers must rise."""
    left = list(numbers)
    parts = []
    at = 0
    while at < len(left):
        step = left[at + 1] - left[at] if at + 1 < len(left) else 0
        end = at + 1
        while end < len(left) and left[end] - left[end - 1] == step:
            end += 1
        if end - at < 3:  # two numbers are no row
            end, step = at + 1, 0
        last = f"-{left[end - 1]}" if step else ""
        parts.append(f"{left[at]}{last}" + (f":{step}" if step > 1 else ""))
        at = end
    return ",".join(parts)


def factor_milli(value: object, most: int) -> int:
    """Turn 1.5 into 1500; from 1 to `most`."""
    milli = _milli(value)
    if milli is None or not 1000 <= milli <= most * 1000:
        raise ValueError(f"a number from 1 to {most}, at most three decimals")
    return milli


def number(milli: int) -> int | float:
    """Turn thousandths into the number people write: 2000 -> 2, 250 -> 0.25."""
    return milli // 1000 if milli % 1000 == 0 else milli / 1000


def memory_text(mib: int) -> str:
    """Turn 65536 into "64GiB": the largest unit that divides it."""
    for unit, size in (("TiB", 2**20), ("GiB", 2**10)):
        if mib and mib % size == 0:
            return f"{mib // size}{unit}"
    return f"{mib}MiB"


def memory_short(mib: int) -> str:
    """Turn 24105 into "23.5GiB", for tables."""
    return f"{mib / 1024:.1f}GiB"


def duration_text(ms: int) -> str:
    """Turn 90000 into "1m30s"; parses back to the same."""
    if ms % 1000:
        return f"{ms}ms"
    text = ""
    left_s = ms // 1000
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        count, left_s = divmod(left_s, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def span_text(ms: int) -> str:
    """Turn a span into two units that a person reads at a glance: 45s, 3m12s, 5h3m, 2d4h."""
    left_s = max(0, ms) // 1000
    sizes = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for index, (unit, size) in enumerate(sizes):
        if left_s >= size:
            count, rest_s = divmod(left_s, size)
            if index + 1 == len(sizes):
                return f"{count}{unit}"
            smaller, smaller_size = sizes[index + 1]
            rest = rest_s // smaller_size
            return f"{count}{unit}{rest}{smaller}" if rest else f"{count}{unit}"
    return "0s"
