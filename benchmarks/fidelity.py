"""How close the simulator comes to a live cluster: a mix of jobs lived by real daemons, then again.

`python -m benchmarks.fidelity --plot docs/fidelity.svg` takes about three minutes: one massd, two
agents with pretended GPUs, 30 jobs that sleep, save their work when told to, and go on from there;
some fail once, some are preempted. Then the journal is replayed in virtual time, as `massctl sim
validate` does.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from aimass import Client
from aimass.scheduler import journal_tools
from aimass.simulator.recorded import Delays, read
from aimass.simulator.validate import Comparison, compare, recorded_policy
from aimass.v1 import job_pb2, node_pb2
from benchmarks.daemons import BenchmarkError, Daemon, address_of, folder, start_massd
from benchmarks.machine import describe, one_line

NODES, DEVICES = 2, "4xH100-SXM5-80GB"
TICK_S = 0.2
JOBS, SEED = 30, 7
TIMEOUT_S = 600
# Sleeps TICKS times, saves how often it has when it is told to, and begins from there.
PROGRAM = """
file="$PROGRESS/$AIMASS_JOB_ID.$RANK"
done=0; [ -f "$file" ] && read -r done < "$file"
trap 'echo $done > "$file"; : > "$AIMASS_CHECKPOINT_FILE"' USR1
while [ "$done" -lt "$TICKS" ]; do
  sleep "$TICK_S" || :
  done=$((done + 1))
  if [ "$done" -eq "$FAIL_AT" ] && [ "$AIMASS_ATTEMPT" = 1 ]; then echo $done > "$file"; exit 3; fi
done
"""


class Asked(NamedTuple):
    """One job of the mix. at_s: when it is submitted; ticks: its work; fail_at: 0: never."""

    at_s: float
    shards: int
    gpus: int
    ticks: int
    priority: int
    fail_at: int


def mix(count: int, seed: int, scale: float = 1.0) -> list[Asked]:
    """Jobs of 1 to 8 GPUs and 2 to 20 s, one in 3 s on average; more than fit, for a while."""
    chance, at_s, found = random.Random(seed), 0.0, []
    for number in range(count):
        shards, gpus = chance.choice(((1, 1), (1, 1), (1, 2), (1, 4), (2, 2), (2, 4)))
        ticks = round(scale * chance.uniform(2, 20) / TICK_S)
        fail_at = max(1, ticks // 2) if number % 10 == 3 else 0
        found.append(Asked(at_s, shards, gpus, ticks, chance.choice((0, 0, 0, 1)), fail_at))
        at_s += scale * chance.expovariate(1 / 3)
    return found


def live(jobs: Sequence[Asked], where: Path) -> Path:
    """Run the jobs on real daemons in that folder; massd's data directory. BenchmarkError."""
    data, progress = where / "massd", where / "progress"
    progress.mkdir()
    with ExitStack() as stack:
        massd = start_massd(data)
        stack.callback(massd.end)
        for number in range(NODES):
            name = f"n{number}"
            log = where / f"{name}.log"
            node = Daemon(
                "aimass.nodeagent.main",
                *("--data", str(where / name), "--node-id", name, "--simulate", DEVICES),
                *("--scheduler", address_of(massd), "--cpus", "64"),
                ready=f"massnode {name} ready",
                log=log,
            )
            stack.callback(node.end)
        with Client(address_of(massd)) as client:
            _wait_for_nodes(client)
            _submit_all(client, jobs, progress)
    return data


def _wait_for_nodes(client: Client) -> None:
    give_up = time.monotonic() + TIMEOUT_S
    while sum(n.state == node_pb2.NODE_STATE_READY for n in client.nodes().nodes) < NODES:
        if time.monotonic() > give_up:
            raise BenchmarkError("the nodes did not become READY")
        time.sleep(0.05)


def _submit_all(client: Client, jobs: Sequence[Asked], progress: Path) -> None:
    began, ids = time.monotonic(), []
    for number, asked in enumerate(jobs):
        time.sleep(max(0.0, began + asked.at_s - time.monotonic()))
        ids.append(client.submit(_spec(number, asked, progress)).job_id)
    for job_id in ids:
        client.wait(job_id, timeout_s=TIMEOUT_S)


def _spec(number: int, asked: Asked, progress: Path) -> job_pb2.JobSpec:
    role = job_pb2.Role(
        name="main",
        shards=asked.shards,
        resources=job_pb2.Resources(gpu_milli=1000 * asked.gpus),
        command=("sh", "-c", PROGRAM),
    )
    return job_pb2.JobSpec(
        name=f"mix-{number}",
        kind=job_pb2.JOB_KIND_TRAIN,
        priority=asked.priority,
        roles=[role],
        workdir=str(progress),
        env={
            "PROGRESS": str(progress),
            "TICKS": str(asked.ticks),
            "TICK_S": str(TICK_S),
            "FAIL_AT": str(asked.fail_at),
        },
        checkpoint=job_pb2.Checkpoint(signal="SIGUSR1", notice_ms=5000),
        retry=job_pb2.Retry(limit=1, backoff_ms=2000),
    )


def validated(data: Path, has_own_delays: bool = False) -> tuple[Comparison, Delays]:
    """The journal's run beside its simulation, and the delays that were measured."""
    recorded = read(journal_tools.events(data))
    policy = recorded_policy(recorded)[1]
    return compare(recorded, policy, has_own_delays=has_own_delays), recorded.delays


def told(found: Comparison, delays: Delays) -> dict[str, Any]:
    """What is printed: figures, by how much each is off, and the jobs that are most."""
    return {
        "machine": one_line(describe()),
        "jobs": found.compared,
        "delays_ms": delays._asdict(),
        "live": found.live,
        "simulated": found.simulated,
        "off": {
            name: None if not value else round((found.simulated[name] or 0) / value - 1, 5)
            for name, value in found.live.items()
        },
        "worst": [
            {"job": d.live.name, "by_s": d.by_ms / 1000, "why": d.why} for d in found.deviations[:5]
        ],
    }


def draw(found: Comparison, path: Path) -> None:
    """Two panels: the completion time of each job, live against simulated; and how many jobs had
    ended at each time, both ways."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "aimass"})
    from matplotlib import pyplot

    pairs = [(d.live, d.simulated) for d in found.deviations]
    begin_ms = min(live.submit_ms for live, _ in pairs)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    most = max(live.jct_ms for live, _ in pairs) / 1000
    left.plot([0, most], [0, most], color="#8a8a8a", linewidth=1)
    left.scatter(
        [live.jct_ms / 1000 for live, _ in pairs],
        [simulated.jct_ms / 1000 for _, simulated in pairs],
        color="#0072b2",
        s=18,
    )
    left.set(xlabel="completion time live, s", ylabel="simulated, s", title="Each job")
    for name, index, colour in (("live", 0, "#d55e00"), ("simulated", 1, "#0072b2")):
        ends_s = sorted((pair[index].end_ms - begin_ms) / 1000 for pair in pairs)
        steps = range(1, len(ends_s) + 1)
        right.step(ends_s, steps, where="post", label=name, color=colour, linewidth=1.2)
    right.set(xlabel="time, s", ylabel="jobs that have ended", title="The whole run")
    right.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, and print one JSON document. 1 when a daemon fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity")
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many")
    parser.add_argument("--seed", type=int, default=SEED, help="of the mix")
    parser.add_argument("--plot", type=Path, help="a picture: .svg or .png")
    options = parser.parse_args(arguments)
    try:
        with folder() as where:
            data = live(mix(options.jobs, options.seed), where)
            found, delays = validated(data)
            own, _ = validated(data, has_own_delays=True)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    told_own = told(own, delays)["off"]
    print(json.dumps({**told(found, delays), "off_with_own_delays": told_own}, indent=1))
    if options.plot is not None:
        draw(found, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
