"""What the commands of `massctl sim` share: options, refusals, progress."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from aimass.cli_base import Function, Parsed
from aimass.errors import InvalidRequest, MassError

SEEDS_ALLOWED = "seeds such as 42-51 or 1,2,3, at most 1000"

Row = dict[str, Any]


def parse_seeds(text: object) -> list[int]:
    """Turn "42-51" or "1,2,3" into numbers. Raises ValueError with what is allowed."""
    seeds: list[int] = []
    for part in str(text).split(","):
        first, dash, last = part.partition("-")
        words = (first, last if dash else first)
        if not all(word.isascii() and word.isdigit() and len(word) <= 9 for word in words):
            raise ValueError(SEEDS_ALLOWED)
        begin, end = map(int, words)
        if not begin <= end < begin + 1000:
            raise ValueError(SEEDS_ALLOWED)
        seeds += range(begin, end + 1)
    if len({*seeds}) < len(seeds) or len(seeds) > 1000:
        raise ValueError(SEEDS_ALLOWED)
    return seeds


nodes_option = click.option(
    "--nodes",
    "nodes_file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The cluster: CSV, plain or gzip.",
)
policy_option = click.option(
    "--policy",
    "policies",
    default="best-fit,fgd,mass",
    show_default=True,
    metavar="NAME[,…]",
    help="Packing policies.",
)


def seeds_option(default: str, what: str) -> Callable[[Function], Function]:
    """Give the option --seeds; what: what each seed draws anew."""
    return click.option(
        "--seeds",
        type=Parsed("seeds", parse_seeds),
        default=default,
        show_default=True,
        metavar="SEED[,…]",
        help=f"Such as 42-51 or 1,2,7: each is another {what}, the same for all policies.",
    )


def checked_policies(text: str, known: Sequence[str]) -> list[str]:
    """Give the names of --policy. Raises InvalidRequest for one that is not known, or repeated."""
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown or len({*names}) < len(names):
        wrong = f"no policy {unknown[0]!r}" if unknown else "a policy comes twice"
        raise InvalidRequest(wrong, fix=f"choose from {', '.join(known)}")
    return names


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Say which extra is missing when the simulator cannot be imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MassError(
            "the simulator is not installed here",
            why=f"no module {error.name}",
            fix="pip install 'aimass[sim]'",
        ) from None


@contextlib.contextmanager
def refusals(otherwise: str) -> Iterator[None]:
    """Let what is wrong with a file be an ordinary error. otherwise: the fix, if it names none."""
    try:
        yield
    except ValueError as error:
        what, _, fix = str(error).partition("; fix: ")
        raise InvalidRequest(what, fix=fix or otherwise) from None


def counted(count: int, noun: str) -> str:
    """Give "1 job", or "1,200 jobs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def progress(done: int, steps: int) -> None:
    """Overwrite one line of a terminal; say nothing elsewhere."""
    if sys.stderr.isatty():
        end = "\n" if done == steps else ""
        print(f"\r{done} of {steps} runs", end=end, file=sys.stderr, flush=True)
