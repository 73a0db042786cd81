"""Policies of `massctl sim run` by name: the daemon's own orders, with options after a colon."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from aimass.core.policy import Policy
from aimass.policies.order_las import LasOrder
from aimass.policies.registry import ALLOTTERS, ORDERS, PLACERS, PROMISE_NOBODY, make_policy
from aimass.simulator.run_gavel import GAVEL_NAMES, GAVEL_OPTIONS, ONLY_IN_ROUNDS, gavel_maker

# How policies.md and the command line name them; each is an order of the daemon.
NAMES = (
    *("fifo", "fifo-skip", "fifo-backfill", "srtf", "srtf-gpu", "las", "fair", "priority"),
    *ALLOTTERS,
)
# Policies of published simulators, in events, by place and promises. In rounds: see run_how.
PUBLISHED: dict[str, Callable[[str, int], Policy]] = {
    "pollux-tiresias": lambda place, promises: _with_limits(make_policy("las", place), (57_600,)),
    "pollux-optimus": lambda place, promises: make_policy("optimus", place, promises),
}
OPTIONS = ("place", "promises", "limits", *GAVEL_OPTIONS)
# An order in which nobody passes who waits has nothing to promise either.
NO_PROMISES = {"fifo", *PROMISE_NOBODY, *PUBLISHED, *GAVEL_NAMES}
WHY_NOT = {
    "promises": "it promises nobody a start",
    "limits": "only las has levels",
    "interval": "only Gavel's policies have it",
    "prices": "only gavel-cost goes by prices",
}
PROMISES_MAX = 1000
LEVELS_MAX = 16


@dataclass(frozen=True, slots=True)
class Named:
    """A policy as it was asked for, and how to make one: each run gets its own."""

    label: str
    make: Callable[[], Policy]


def parse_policies(text: str) -> list[Named]:
    """Turn "fifo,fifo-backfill:promises=1,place=spread" into policies. Raises ValueError.

    A part with `=` and without `:` is one more option of the policy before it.
    """
    parts: list[str] = []
    for part in text.split(","):
        if parts and "=" in part and ":" not in part:
            parts[-1] += f",{part}"
        else:
            parts.append(part.strip())
    if len({*parts}) < len(parts):
        raise ValueError(f"a policy comes twice; fix: name each once in {text!r}")
    return [_named(part) for part in parts]


def refuse_rounds(found: Iterable[Named], fix: str) -> None:
    """Raises ValueError for a policy that there is in rounds alone. fix: what to do there."""
    for named in found:
        if named.label.partition(":")[0] in ONLY_IN_ROUNDS:
            raise ValueError(f"{named.label} decides in rounds alone; fix: {fix}")


def options_of(name: str) -> tuple[str, ...]:
    """The options that say something to the policy of that name."""
    has = {
        "place": True,
        "promises": name not in NO_PROMISES,
        "limits": name == "las",
        "interval": name in GAVEL_NAMES,
        "prices": name == "gavel-cost",
    }
    return tuple(option for option in OPTIONS if has[option])


def _named(label: str) -> Named:
    name, _, rest = label.partition(":")
    if name not in NAMES and name not in PUBLISHED and name not in GAVEL_NAMES:
        known = list(dict.fromkeys((*NAMES, *PUBLISHED, *GAVEL_NAMES)))
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"no policy {name!r}{meant}; fix: choose from {', '.join(known)}")
    is_known = any(name in names for names in (PUBLISHED, GAVEL_NAMES, ALLOTTERS, ORDERS))
    assert is_known, f"{name} is no policy of the daemon"
    options: dict[str, str] = {}
    for word in rest.split(",") if rest else ():
        option, equals, value = word.partition("=")
        has = options_of(name)
        if option in OPTIONS and option not in has:
            fix = f"{WHY_NOT[option]}; {name} has {', '.join(has)}"
            raise ValueError(f"no option {option!r} of {name}; fix: {fix}")
        if option in has and not equals:
            raise ValueError(f"no value for {option} of {name}; fix: write {option}=VALUE")
        if option not in has:
            fix = f"write NAME=VALUE, of {', '.join(has)}"
            raise ValueError(f"no option {word!r} of {name}; fix: {fix}")
        options[option] = value
    place = options.get("place", "best-fit")
    if place not in PLACERS:
        raise ValueError(f"place is {place!r}; fix: choose from {', '.join(PLACERS)}")
    promises = options.get("promises", "8")
    if not (promises.isascii() and promises.isdigit() and int(promises) <= PROMISES_MAX):
        raise ValueError(f"promises is {promises!r}; fix: a number from 0 to {PROMISES_MAX}")
    if name in GAVEL_NAMES:
        return Named(label, gavel_maker(name, place, options))
    if "limits" not in options:
        make = PUBLISHED.get(name, partial(make_policy, name))
        return Named(label, lambda: make(place, int(promises)))
    limits = _limits(options["limits"])
    return Named(label, lambda: _with_limits(make_policy(name, place), limits))


def _limits(text: str) -> tuple[int, ...]:
    """Where the levels of las end, in GPU-seconds: "3250/7200"."""
    words = text.split("/")
    limits = tuple(int(word) for word in words if word.isascii() and word.isdigit())
    is_rising = all(low < high for low, high in pairwise((0, *limits)))
    if len(limits) < len(words) or not is_rising or len(limits) > LEVELS_MAX:
        raise ValueError(f"limits is {text!r}; fix: rising GPU-seconds such as 3250/7200")
    return limits


def _with_limits(policy: Policy, limits: tuple[int, ...]) -> Policy:
    order = LasOrder(limits)
    return replace(policy, order=order, ranked=order)
