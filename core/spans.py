"""Lengths of time as people say them."""

_UNITS = ((24 * 3600 * 1000, "d"), (3600 * 1000, "h"), (60 * 1000, "min"), (1000, "s"))


def span_text(span_ms: int) -> str:
    """A length of time in its two largest units: `2 h`, `1 h 30 min`, `45 s`, `0 s`."""
    parts = []
    for unit_ms, name in _UNITS:
        count, span_ms = divmod(span_ms, unit_ms)
        if count:
            parts.append(f"{count} {name}")
        if parts and (len(parts) == 2 or not count):
            break
    return " ".join(parts) or "0 s"
