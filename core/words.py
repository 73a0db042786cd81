"""What a job asks and when something happens, in a few words."""

from collections.abc import Sequence

from aimass.core.spans import span_text
from aimass.core.spec import Need

NAMED_MAX = 3


def describe_need(need: Need) -> str:
    """A shard's need in a few words: `1 GPU H100 of 80000 MiB, 2 CPU, 512 MiB`."""
    parts = []
    if need.has_gpu:
        kind = f" {' or '.join(need.gpu_types)}" if need.gpu_types else ""
        memory = f" of {need.gpu_memory_mib} MiB" if need.gpu_memory_mib else ""
        count = f"{need.gpu_milli / 1000:g}"
        if need.gpu_share_mib:
            count = f"{need.gpu_share_mib} MiB of a"
        parts.append(f"{count} GPU{kind}{memory}")
    if need.cpu_milli:
        parts.append(f"{need.cpu_milli / 1000:g} CPU")
    if need.memory_mib:
        parts.append(f"{need.memory_mib} MiB")
    return ", ".join(parts) or "nothing"


def in_text(left_ms: int) -> str:
    """`in 5 min`; `now` when it is due."""
    return f"in {span_text(left_ms)}" if left_ms > 0 else "now"


def some(names: Sequence[str]) -> str:
    """The first few of many names: `j1, j2, j3 and 4 more`."""
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
