"""Record a varied history as a journal that every later version must still replay.

    python -m tests.core.record_journal tests/golden/journals/NAME.jsonl

A line is one batch as `codec.encode_events` writes it. Recorded journals are never recorded again:
add another one when events or their meaning change.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aimass.core import events as ev
from aimass.core.codec import encode_events
from aimass.core.model import Exit, ExitReason, Job, NodeId, NodeState
from aimass.core.spec import JobSpec, Need, Role, Strategy
from aimass.policies.registry import ORDERS, PLACERS, make_policy
from tests.core.world import (
    GIB,
    World,
    active_jobs,
    gpus,
    inventory,
    live_ranks,
    one_role,
    with_failed,
)

BATCH = 25
STEPS = 400
SHAPES: tuple[tuple[Role, ...], ...] = (
    one_role(1, gpus=1),
    one_role(4, gpus=2, cpus=4, memory_mib=32 * GIB),
    one_role(2, gpus=0.5, gpu_types=("H100", "A100")),
    one_role(8, cpus=2),
    one_role(1, gpus=8, gpu_memory_mib=48 * GIB),
    (
        Role("ps", 1, Need(cpu_milli=4000), ("ps",)),
        Role("worker", 3, Need(gpu_milli=1000), ("train",)),
    ),
    one_role(3, gpus=16),
)


class Recorder:
    """A world with a will of its own: `chance` decides what happens next."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World()
        self.reported = {
            f"n{i}": inventory(
                f"n{i}",
                gpus(f"n{i}", 8, "A100" if i == 3 else "H100", island=4),
                labels={"zone": "ab"[i % 2], "größe": "groß"},
            )
            for i in range(1, 4)
        }
        for node, reported in self.reported.items():
            self.world.join(node, reported)

    def record(self) -> list[ev.Event]:
        """The whole history, made step by step."""
        steps: list[Callable[[], None]] = [
            *[self.submit] * 4,
            *[self.plan] * 6,
            *[self.start] * 4,
            *[self.exit] * 5,
            *[self.cancel, self.silence, self.inventory, self.port, self.lead],
        ]
        for _ in range(STEPS):
            self.chance.choice(steps)()
        assert {type(event) for event in self.world.history} == set(ev.EVENT_TYPES)
        return self.world.history

    def submit(self) -> None:
        """A job of one of a few shapes."""
        spec = JobSpec(
            "job",
            self.chance.choice(SHAPES),
            priority=self.chance.choice((0, 0, 10)),
            env={"B": "2", "A": "日本"},
            labels={"team": "vision"},
            node_selector=self.chance.choice(
                ({}, {}, {"zone": "b"}, {"zone": "b", "größe": "groß"})
            ),
            strategy=self.chance.choice(list(Strategy)),
        )
        self.world.submit_spec(spec, f"key-{self.world.cluster.next_seq}")

    def plan(self) -> None:
        """By any of the policies."""
        order, place = self.chance.choice(sorted(ORDERS)), self.chance.choice(sorted(PLACERS))
        self.world.policy = make_policy(order, place)
        self.world.plan()

    def active(self) -> list[Job]:
        """Some job that holds capacity, if there is one."""
        return self.chance.sample(active_jobs(self.world.cluster), 1) if self.has_active() else []

    def has_active(self) -> bool:
        """Whether anything runs."""
        return bool(active_jobs(self.world.cluster))

    def start(self) -> None:
        """All shards of a job, or one."""
        for job in self.active():
            ranks = live_ranks(job)
            self.world.start(job, ranks if self.chance.random() < 0.7 else ranks[:1])

    def exit(self) -> None:
        """All shards of a job with 0, or one for any reason."""
        for job in self.active():
            if self.chance.random() < 0.6:
                self.world.exit(job)
            else:
                how = Exit(reason=self.chance.choice(list(ExitReason)), code=1, detail="Ende ☠")
                self.world.exit(job, live_ranks(job)[-1:], how)

    def cancel(self) -> None:
        """Any job that is known."""
        jobs = list(self.world.cluster.jobs.values())
        if jobs:
            self.world.cancel(self.chance.choice(jobs), self.chance.choice((1000, 60_000)))

    def silence(self) -> None:
        """A node falls silent; later it comes back, or its lease runs out, or it has restarted."""
        name = self.chance.choice(sorted(self.reported))
        node = self.world.cluster.nodes[NodeId(name)]
        if node.state is NodeState.READY:
            self.world.do(ev.NodeSilent, node_id=node.id, reason="no heartbeat")
        elif node.state is NodeState.SUSPECT and self.chance.random() < 0.5:
            self.world.do(ev.LeaseExpired, node_id=node.id)
        else:
            boot = node.boot_id + self.chance.choice(("", "+"))
            self.world.join(name, self.reported[name], boot)

    def inventory(self) -> None:
        """A device fails, or vanishes, or all are well again."""
        name = self.chance.choice(sorted(self.reported))
        reported = self.reported[name]
        failed = with_failed(reported, f"GPU-{name}-{self.chance.randrange(8)}")
        gone = replace(reported, devices=reported.devices[:-1])
        self.world.do(
            ev.InventoryChanged,
            node_id=NodeId(name),
            inventory=self.chance.choice((reported, failed, gone)),
        )

    def port(self) -> None:
        """Rank 0's agent reserves one."""
        for job in self.active():
            number = self.chance.randrange(1024, 65536)
            self.world.do(ev.PortReserved, job_id=job.id, attempt=job.attempt, port=number)

    def lead(self) -> None:
        """Another scheduler takes over."""
        self.world.do(ev.TermStarted, term=self.world.cluster.term + 1)


def main(path: Path) -> None:
    """Write the journal; refuse to write over one."""
    history = Recorder(seed=1).record()
    batches = (history[at : at + BATCH] for at in range(0, len(history), BATCH))
    with path.open("xb") as file:
        file.writelines(encode_events(batch) + b"\n" for batch in batches)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
