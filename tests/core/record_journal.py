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
from aimass.core.model import Exit, ExitReason, Job, JobState, NodeId, NodeState
from aimass.core.queues import QueueSpec
from aimass.core.spec import (
    Array,
    Checkpoint,
    Dependency,
    JobSpec,
    Need,
    Retry,
    Role,
    Strategy,
)
from aimass.core.speeds import SpeedOn
from aimass.core.windows import WindowSpec
from aimass.policies.registry import ORDERS, PLACERS, make_policy
from tests.core.world import (
    GIB,
    World,
    active_jobs,
    gpus,
    inventory,
    jobs_in,
    live_ranks,
    one_role,
    with_failed,
)

BATCH = 25
STEPS = 800
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
            *[self.hold, self.release, self.update, self.requeue, self.checkpoint, self.report],
            *[self.cordon, self.uncordon, self.queues, self.windows, self.levels, self.pass_time],
        ]
        for _ in range(STEPS):
            self.chance.choice(steps)()
        missing = set(ev.EVENT_TYPES) - {type(event) for event in self.world.history}
        assert not missing, f"no {missing} in this history"
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
            queue=self.chance.choice(sorted(set(self.world.cluster.queues) - {"root"})),
            walltime_ms=self.chance.choice((0, 30_000, 600_000)),
            preemptible=self.chance.random() < 0.8,
            array=self.chance.choice((None, None, None, Array((0, 1, 4), 2))),
            retry=self.chance.choice((Retry(), Retry(2, 1000))),
            checkpoint=self.chance.choice((Checkpoint(), Checkpoint("SIGUSR1", 5000))),
        )
        others = [*self.world.cluster.jobs][-5:]
        if others and self.chance.random() < 0.2:
            waits = replace(spec, depends_on=(Dependency(self.chance.choice(others)),))
            spec = spec if self.world.refusals(waits) else waits
        key = f"key-{self.world.cluster.next_seq}"
        self.world.submit_spec(spec, key, held=self.chance.random() < 0.1)

    def plan(self) -> None:
        """By any of the policies."""
        order, place = self.chance.choice(sorted(ORDERS)), self.chance.choice(sorted(PLACERS))
        self.world.policy = make_policy(order, place)
        self.world.settle()

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

    def some(self) -> list[Job]:
        """Some job that is not over, if there is one."""
        jobs = [job for job in self.world.cluster.jobs.values() if not job.state.is_over]
        return self.chance.sample(jobs, 1) if jobs else []

    def hold(self) -> None:
        """A waiting job is held, or an active one is not."""
        for job in self.some():
            self.world.do(ev.JobHeld, job_id=job.id, by="ann", reason="später")

    def release(self) -> None:
        """Every held job may go."""
        for job in jobs_in(self.world.cluster, JobState.HELD):
            self.world.do(ev.JobReleased, job_id=job.id, by="ann")

    def update(self) -> None:
        """A job gets another priority and limit."""
        for job in self.some():
            spec = replace(job.spec, priority=self.chance.randrange(20), walltime_ms=900_000)
            self.world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")

    def requeue(self) -> None:
        """A job is taken off its nodes."""
        for job in self.active():
            suspend = self.chance.random() < 0.3
            self.world.do(ev.JobRequeueRequested, job_id=job.id, by="ann", suspend=suspend)

    def checkpoint(self) -> None:
        """A job has written one."""
        for job in self.active():
            self.world.do(ev.CheckpointReported, job_id=job.id, attempt=job.attempt, age_ms=500)

    def report(self) -> None:
        """A program says how far it is and how fast, sometimes one that was stopped."""
        jobs = active_jobs(self.world.cluster)
        if jobs:
            job = self.chance.choice(jobs)
            speeds = (SpeedOn("H100", self.chance.choice((0, 1, 2)), 0, 1_500_000),)
            number = job.attempt - self.chance.choice((0, 0, 1))
            fields = {"left_ms": self.chance.choice((-1, 5000)), "speeds": speeds}
            self.world.do(ev.WorkReported, job_id=job.id, attempt=number, **fields)

    def cordon(self) -> None:
        """A node is taken out of use, perhaps emptied."""
        node_id = NodeId(self.chance.choice(sorted(self.reported)))
        drain_ms = self.chance.choice((0, self.world.now_ms + 5000))
        self.world.do(ev.NodeCordoned, node_id=node_id, by="ann", drain_ms=drain_ms)

    def uncordon(self) -> None:
        """All nodes may be used."""
        for name in self.reported:
            self.world.do(ev.NodeUncordoned, node_id=NodeId(name), by="ann")

    def queues(self) -> None:
        """A queue is made, or changed, or removed when nobody is in it."""
        spec = QueueSpec("research", weight=self.chance.randrange(1, 4), quota={"gpu": 8000})
        found = self.world.cluster.queues.get(spec.name)
        jobs = self.world.cluster.jobs.values()
        if found and not any(j.spec.queue == spec.name and not j.state.is_over for j in jobs):
            self.world.do(ev.QueueDeleted, name=spec.name, by="ann")
        else:
            self.world.do(ev.QueuePut, spec=spec, by="ann")

    def windows(self) -> None:
        """A reservation comes, or goes."""
        if self.world.cluster.windows:
            self.world.do(ev.WindowDeleted, name="patch", by="ann")
        else:
            start_ms = self.world.now_ms + 60_000
            spec = WindowSpec("patch", start_ms, 30_000, ("n2",), maintenance=True)
            self.world.do(ev.WindowPut, spec=spec, by="ann")

    def levels(self) -> None:
        """The topology gets its names."""
        self.world.do(ev.LevelsPut, levels=self.chance.choice(((), ("zone",))))

    def pass_time(self) -> None:
        """Nothing else happens until something falls due, or for half a minute."""
        if not self.world.tick(self.world.now_ms + 30_000):
            self.world.do(ev.Tick)


def main(path: Path) -> None:
    """Write the journal; refuse to write over one."""
    history = Recorder(seed=2).record()
    batches = (history[at : at + BATCH] for at in range(0, len(history), BATCH))
    with path.open("xb") as file:
        file.writelines(encode_events(batch) + b"\n" for batch in batches)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
