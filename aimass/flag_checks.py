"""What flags of massctl say against each other."""

from collections.abc import Iterable

from aimass import units
from aimass.errors import InvalidRequest


def conditions(after: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give the end that is waited for, by job; a job may be named again for the same end."""
    asked: dict[str, str] = {}
    for job, condition in after:
        if asked.setdefault(job, condition) != condition:
            raise InvalidRequest(
                f"--after names {job} twice, for its {asked[job]} and for its {condition}",
                fix=f"give one of them; --after {job}:any takes any end",
            )
    return asked


def refuse_longer(expected_ms: int, limit_ms: int) -> None:
    """Refuse a job that is expected to run longer than it may."""
    if 0 < limit_ms < expected_ms:
        expected, limit = units.duration_text(expected_ms), units.duration_text(limit_ms)
        raise InvalidRequest(
            f"it is expected to run {expected}, and is stopped after {limit}",
            fix=f"--time {expected} or longer, or --expected {limit} or shorter",
        )


def refuse_beside(flag: str, word: str, values: tuple[str, ...]) -> None:
    """Refuse a word that stands for all, or for none, beside another."""
    if word in values and len(values) > 1:
        other = next((value for value in values if value != word), word)
        raise InvalidRequest(f"{flag} {word} beside {flag} {other}", fix="give one of them")
