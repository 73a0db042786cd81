"""Amounts as people read them."""


def amount_text(key: str, amount: int) -> str:
    """An amount of a resource: "4 GPUs", "0.5 H100", "16 CPUs", "2048 MiB"."""
    if key == "memory":
        return f"{amount} MiB"
    what = {"gpu": "GPUs", "cpu": "CPUs"}.get(key) or key.removeprefix("gpu:")
    return f"{amount / 1000:g} {what}"
