"""`mass` against every other policy on draws of the shared traces, pair by pair, with intervals.

    python -m benchmarks.sim_policies --seeds 0-9 --block 20 --out rows.jsonl
    python -m benchmarks.sim_policies_paired rows.jsonl

Draws are those of `sim sweep`; it keeps no records, and finish-time fairness needs them.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from aimass.simulator.intervals import interval
from aimass.simulator.sweep_report import PAIRS_MIN

FIGURES = ("jct_mean_s", "jct_p99_s", "worst_ftf")  # less is better in each
OWN = "mass"

Row = dict[str, Any]
Runs = dict[str, dict[int, Row]]  # of one workload, by policy and seed


class Gap(NamedTuple):
    """A policy's mean less another's over the seeds of both, with the ends of its 95 % interval.

    All three are parts of the other's mean.
    """

    part: float
    low: float
    high: float
    pairs: int

    @property
    def is_shown(self) -> bool:
        """Whether they differ: of fewer pairs all have one sign by chance too often."""
        return self.pairs >= PAIRS_MIN and not self.low <= 0 <= self.high

    def text(self) -> str:
        """As in a table: -3.1 % (-4.0 to -2.2), with a star where that leaves out 0."""
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.part:+.1f} % ({low:+.1f} to {high:+.1f}){'*' * self.is_shown}"


def by_workload(rows: Sequence[Row]) -> dict[str, Runs]:
    """Rows by workload and number of jobs, policy and seed; of equal ones the last."""
    found: dict[str, Runs] = {}
    for row in rows:
        runs = found.setdefault(f"{row['workload']}, {row['jobs']} jobs", {})
        runs.setdefault(row["policy"], {})[row["seed"]] = row
    return found


def gap(runs: Runs, one: str, other: str, figure: str) -> Gap | None:
    """How far `one` is above `other` in a figure; None where they share no seed."""
    seeds = sorted(runs[one].keys() & runs[other].keys())
    if not seeds:
        return None
    base = fmean(runs[other][seed][figure] for seed in seeds)
    gaps = [runs[one][seed][figure] - runs[other][seed][figure] for seed in seeds]
    low, high = interval(gaps)
    return Gap(fmean(gaps) / base, low / base, high / base, len(seeds))


def best_other(runs: Runs, figure: str) -> tuple[str, Gap] | None:
    """The policy that is furthest ahead of OWN, or least behind it, in a figure by its mean.

    Of those that ran with the most seeds: means over other seeds are of other jobs.
    """
    gaps = {p: found for p in runs if p != OWN and (found := gap(runs, OWN, p, figure))}
    most = max((found.pairs for found in gaps.values()), default=0)
    whole = [(p, found) for p, found in gaps.items() if found.pairs == most]
    return max(whole, key=lambda item: (item[1].part, item[0]), default=None)


def dominators(runs: Runs) -> Iterator[tuple[str, bool]]:
    """Who is no worse than OWN in any mean and better in one, and whether that one is shown."""
    for policy in sorted(runs.keys() - {OWN}):
        gaps = [found for name in FIGURES if (found := gap(runs, OWN, policy, name))]
        if gaps and min(found.part for found in gaps) >= 0 < max(found.part for found in gaps):
            yield policy, any(found.is_shown for found in gaps)


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The table in Markdown: a row a workload, the best other policy of each figure."""
    yield "| trace | pairs | average | p99 | worst fairness | as good in all three |"
    yield "|---|---|---|---|---|---|"
    for workload, runs in by_workload(rows).items():
        best = [found for name in FIGURES if (found := best_other(runs, name))]
        cells = [f"`{policy}` {found.text()}" for policy, found in best]
        ahead = [f"`{policy}`{'*' * is_shown}" for policy, is_shown in dominators(runs)]
        pairs = min((found.pairs for _, found in best), default=0)
        yield f"| {' | '.join([workload, str(pairs), *cells, ', '.join(ahead) or 'none'])} |"


def main() -> int:
    """Print the table of the rows in a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sim_policies_paired")
    parser.add_argument("rows", type=Path, help="what sim_policies --seeds wrote with --out")
    rows = [json.loads(line) for line in parser.parse_args().rows.read_text().splitlines()]
    print(*lines(rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
