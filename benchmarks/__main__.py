"""`python -m benchmarks [NAME] [-o json|table]`: measure, print, and keep on request.

A record is {name, value, unit, spread, n}; a percentile is a record of its own (submit_start_p50).
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.catalogue import AIMS, BENCHMARKS, GROUPS
from benchmarks.daemons import ROOT, BenchmarkError
from benchmarks.record import Record, as_json, as_table

HISTORY = Path(__file__).with_name("history.jsonl")


def main() -> int:
    """Run what the command line says; the exit code. A missed aim is no failure."""
    options = _options()
    if options.name == "list":
        width = max(map(len, BENCHMARKS))
        print("\n".join(f"{name:{width}}  {b.about}" for name, b in BENCHMARKS.items()))
        for group, names in GROUPS.items():
            print(f"{group:{width}}  all of {', '.join(names)}")
        return 0
    described, commit = machine.describe(), _commit()
    records: list[Record] = []
    for name in GROUPS.get(options.name, [options.name]) if options.name else BENCHMARKS:
        print(f"measuring {name} ...", file=sys.stderr)
        try:
            records += BENCHMARKS[name].run(options.scale)
        except BenchmarkError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    if options.output == "json":
        print(as_json(records))
    else:
        print(f"{machine.one_line(described)}\n\n{as_table(records, AIMS)}")
    if options.save:
        _save(commit, described, records)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure AI Mass on this machine."
    )
    parser.add_argument(
        "name",
        nargs="?",
        choices=[*BENCHMARKS, *GROUPS, "list"],
        help="one of them, or list; default: all",
    )
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the usual amount of work (default 1)"
    )
    parser.add_argument("--save", action="store_true", help=f"append the result to {HISTORY.name}")
    return parser.parse_args()


def _save(commit: str, described: dict[str, object], records: list[Record]) -> None:
    line = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": described,
        "records": json.loads(as_json(records)),
    }
    with open(HISTORY, "a") as file:
        file.write(json.dumps(line) + "\n")


def _commit() -> str:
    """The commit that was measured, with a + when files differ from it; empty without git."""
    asked = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
