"""What the bare machine does, measured beside our figures so that they can be read elsewhere."""

import os
import time
from pathlib import Path

from benchmarks.record import Record, of_rounds

ROUNDS = 5
BLOCK = b"x" * 4096


def fsync(name: str, folder: Path, scale: float) -> Record:
    """Appends of 4 KiB, each with fdatasync, per second: what one durable batch costs at least."""
    count = max(3, round(100 * scale))
    rates = []
    fd = os.open(folder / "anchor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(count):
                os.write(fd, BLOCK)
                os.fdatasync(fd)
            rates.append(count / (time.perf_counter() - began))
    finally:
        os.close(fd)
    return of_rounds(name, "1/s", rates, count * ROUNDS)
