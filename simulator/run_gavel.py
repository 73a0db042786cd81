"""Gavel's policies of `massctl sim run`: their names and options, in events and in rounds."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from aimass.core.policy import Policy
from aimass.policies.gavel_allot import GAVEL, INTERVAL_MS, GavelAllot
from aimass.policies.registry import make_policy
from aimass.simulator.run import Outcome

ONLY_IN_ROUNDS = ("gavel-fifo", "gavel-fifo-perf")
GAVEL_NAMES = (*GAVEL, *ONLY_IN_ROUNDS)
GAVEL_OPTIONS = ("interval", "prices")
INTERVAL_S_MAX = 86_400

Prices = tuple[tuple[str, float], ...]


def gavel_maker(name: str, place: str, options: Mapping[str, str]) -> Callable[[], Policy]:
    """What makes the policy, in events. options: of GAVEL_OPTIONS. Raises ValueError.

    So does what is made for a name that there is in rounds only.
    """
    interval_ms = _interval_ms(options["interval"]) if "interval" in options else INTERVAL_MS
    prices = prices_of(name, options)

    def make() -> Policy:
        if name in ONLY_IN_ROUNDS:
            raise ValueError(f"{name} is a policy of rounds; fix: add --round 360")
        allot = GavelAllot(name, interval_ms, prices)
        return replace(make_policy("fifo-skip", place), allot=allot)

    return make


def gavel_rounds(
    label: str, tables: Path | None, round_s: int, seed: int
) -> Callable[..., Outcome]:
    """What plays jobs in Gavel's rounds. tables: its throughputs, of a trace that has them.

    Raises ValueError for options that rounds do not have, and FileProblem.
    """
    from aimass.simulator import rounds
    from aimass.simulator.perf import gavel_table

    name, _, rest = label.partition(":")
    options = dict(word.split("=", 1) for word in rest.split(",")) if rest else {}
    if alien := options.keys() - {"prices"}:
        raise ValueError(f"rounds have no {min(alien)}; fix: drop it, or --round")
    table = gavel_table(tables) if tables is not None else None
    prices = dict(prices_of(name, options))
    return partial(rounds.play, name=name, round_s=round_s, seed=seed, table=table, prices=prices)


def prices_of(name: str, options: Mapping[str, str]) -> Prices:
    """What a GPU of each type costs: "V100=2.48/K80=0.45". Raises ValueError."""
    text = options.get("prices")
    if text is None:
        return ()
    if name != "gavel-cost":
        raise ValueError(f"no option 'prices' of {name}; fix: only gavel-cost goes by prices")
    found = []
    for part in text.split("/"):
        gpu_type, equals, value = part.partition("=")
        try:
            price = float(value)
        except ValueError:
            price = math.nan
        if not (gpu_type and equals and 0 < price < math.inf):
            raise ValueError(f"prices is {text!r}; fix: write TYPE=PRICE/TYPE=PRICE, above 0")
        found.append((gpu_type, price))
    return tuple(found)


def _interval_ms(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= INTERVAL_S_MAX):
        raise ValueError(f"interval is {text!r}; fix: seconds, from 1 to {INTERVAL_S_MAX}")
    return int(text) * 1000
