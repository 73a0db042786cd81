"""Human units to integers and back: milli-GPU, milli-CPU, MiB, ms. Nothing is imported.

Each parser raises ValueError with what is allowed; job files and command-line flags share them.
"""

import re

AMOUNT_MAX = 2**40  # of any resource: far above every machine, far below 64-bit overflow
DURATION_MS_MAX = 24 * 3600 * 1000

_MEMORY = re.compile(r"(\d{1,13})(?:\.(\d{1,3}))?[ ]?([KMGT])(?:i?B)?\Z")
_MEMORY_BYTES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?\Z")
_DURATION_MS = (3_600_000, 60_000, 1000, 1)

GPUS_ALLOWED = "whole GPUs (0, 1, 2 …) or a share of one (0.25), at most three decimals"
CPUS_ALLOWED = "a number of CPU cores, 0 or more, at most three decimals"
MEMORY_ALLOWED = "an amount with its unit: 512MiB, 64GiB, 1.5TiB"
DURATION_ALLOWED = "a time of at most 24h with its unit: 30s, 1m30s, 2h, 500ms"


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
    match = _DURATION.match(value) if isinstance(value, str) and value else None
    if not match:
        raise ValueError(DURATION_ALLOWED)
    parts = zip(match.groups(), _DURATION_MS, strict=True)
    total = sum(int(count) * unit for count, unit in parts if count)
    if total > DURATION_MS_MAX:
        raise ValueError(DURATION_ALLOWED)
    return total


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
