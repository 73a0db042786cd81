"""Amounts as people read them."""


def amount_text(key: str, amount: int) -> str:
    """An amount of a resource: "1 GPU", "4 GPUs", "0.5 H100", "16 CPUs", "2048 MiB"."""
    if key == "memory":
        return f"{amount} MiB"
    number = f"{amount / 1000:g}"
    if key in ("gpu", "cpu"):
        return f"{number} {key.upper()}{'' if amount == 1000 else 's'}"
    return f"{number} {key.removeprefix('gpu:')}"


def gpu_hours_text(gpu_ms: int) -> str:
    """GPU-milliseconds in GPU-hours, two digits: "24", "0.4", "0.0017", "130"."""
    hours = gpu_ms / 3_600_000
    return f"{hours:.0f}" if hours >= 9.95 else f"{hours:.2g}"


def shards_text(shards: int) -> str:
    """`1 shard`, `4 shards`."""
    return f"{shards} shard{'' if shards == 1 else 's'}"
