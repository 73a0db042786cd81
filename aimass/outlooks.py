"""When something happens, as people read it: times, starts that are promised or foreseen."""

from aimass import units
from aimass.v1 import job_pb2


def when(at_ms: int, now_ms: int) -> str:
    """Turn a time into "in 2h (2026-11-21T17:00Z)"; "now" when it has come."""
    if at_ms <= now_ms:
        return "now"
    return f"in {units.span_text(at_ms - now_ms)} ({minute(at_ms)})"


def minute(at_ms: int) -> str:
    """Turn a time into "2026-11-21T17:00Z"."""
    return f"{units.time_text(at_ms)[:16]}Z"


def second(at_ms: int) -> str:
    """Turn a time into "2026-11-21T17:00:05Z"."""
    return f"{units.time_text(at_ms)[:19]}Z"


def outlook_lines(start: job_pb2.Outlook, now_ms: int) -> list[str]:
    """Give what is known of a start, and how sure it is."""
    if not start.at_ms:
        if start.is_promise:
            return ["when those who hold its promised places end; nobody knows when"]
        if start.after_ms > now_ms:
            return [f"not before {when(start.after_ms, now_ms)}, if nothing changes"]
        return []
    likely = when(start.at_ms, now_ms)
    if start.is_promise:
        if start.latest_ms > start.at_ms:
            latest = when(start.latest_ms, now_ms)
            return [f"probably {likely}, at the latest {latest}: that is promised"]
        return [f"at the latest {likely}: that is promised"]
    if start.latest_ms > start.earliest_ms:
        first, last = (units.span_text(at - now_ms) for at in (start.earliest_ms, start.latest_ms))
        return [f"probably {likely}, in {first} to {last} as far as past runs tell"]
    return [f"{likely}, if nobody else comes"]
