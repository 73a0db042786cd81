"""What operators write that job files do not have: amounts by resource, ranges of priorities.

Each parser raises ValueError with what is allowed.
"""

import re

from aimass import units

AMOUNTS_ALLOWED = "amounts such as gpu=8,gpu:H100=4,cpu=64,memory=512GiB, or none"
CELLS_ALLOWED = (
    "COUNTxGPUSxMODEL such as 4x8xH100, for gangs COUNTxSHARDSxGPUSxMODEL@LEVEL such as "
    "2x4x8xH100@rack, several with commas, or none"
)
RANGE_ALLOWED = "two priorities, the lower first: 0:100, -10:10"

_RANGE = re.compile(r"(-?\d{1,7}):(-?\d{1,7})\Z")
_CELL = re.compile(
    r"(\d{1,7})x(?:(\d{1,7})x)?(\d{1,7})x([A-Za-z0-9][^\s,=@]{0,99})(?:@([^\s,=@]{1,253}))?\Z",
    re.ASCII,
)
_KEY = re.compile(r"gpu(:[A-Za-z0-9][A-Za-z0-9._-]{0,252})?\Z|cpu\Z|memory\Z")


def parse_amounts(text: object) -> dict[str, int]:
    """Turn "gpu=8,cpu=64,memory=512GiB" into {"gpu": 8000, "cpu": 64000, "memory": 524288}."""
    words = str(text).strip()
    found: dict[str, int] = {}
    for pair in [] if words == "none" else words.split(","):
        key, _, value = (part.strip() for part in pair.partition("="))
        if not _KEY.match(key) or key in found:
            raise ValueError(AMOUNTS_ALLOWED)
        found[key] = units.memory_mib(value) if key == "memory" else _milli(key, value)
    return found


Cell = tuple[int, int, int, str, str]
"""(count, shards, GPUs of each, model, level)."""


def parse_cells(text: object) -> list[Cell]:
    """Turn "4x8xH100,2x4x8xH100@rack" into [(4, 1, 8, "H100", ""), (2, 4, 8, "H100", "rack")]."""
    words, found = str(text).strip(), []
    for part in [] if words == "none" else words.split(","):
        match = _CELL.match(part.strip())
        if not match:
            raise ValueError(CELLS_ALLOWED)
        count, shards, gpus, model, level = match.groups()
        found.append((int(count), int(shards or 1), int(gpus), model, level or ""))
    return found


def cell_text(cell: Cell) -> str:
    """Turn a cell into the text that `parse_cells` reads."""
    count, shards, gpus, model, level = cell
    gang = f"{shards}x" if shards > 1 else ""
    return f"{count}x{gang}{gpus}x{model}" + (f"@{level}" if level else "")


def _milli(key: str, value: str) -> int:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(AMOUNTS_ALLOWED) from None
    if number < 0:
        raise ValueError(f"possible: {key} is 0 or more")
    try:
        return units.cpu_milli(number)  # a quota may be 2.5 GPUs, unlike a shard's request
    except ValueError:
        raise ValueError(f"possible: {key} is a number, at most three decimals") from None


def amount_text(key: str, amount: int) -> str:
    """Turn ("memory", 524288) into "512GiB" and ("gpu", 8000) into "8"."""
    return units.memory_text(amount) if key == "memory" else f"{units.number(amount)}"


def amounts_text(amounts: dict[str, int]) -> str:
    """Turn amounts into the text that `parse_amounts` reads; "none" when there are none."""
    pairs = [f"{key}={amount_text(key, amounts[key])}" for key in sorted(amounts)]
    return ",".join(pairs) or "none"


def time_ms(value: object, now_ms: int) -> int:
    """Turn "now", or what `units.time_ms` knows, into epoch ms."""
    if value == "now":
        return now_ms
    try:
        return units.time_ms(value, now_ms)
    except ValueError as error:
        raise ValueError(f"now, or {error}") from None


def priority_range(value: object) -> tuple[int, int]:
    """Turn "0:100" into (0, 100)."""
    match = _RANGE.match(str(value).strip())
    if not match or int(match[1]) > int(match[2]):
        raise ValueError(RANGE_ALLOWED)
    return int(match[1]), int(match[2])
