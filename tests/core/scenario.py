"""The scenario language: a text file of commands with the expected answer beneath each.

    node n1 8xH100 island=4 cpus=64 memory=512GiB label=zone:a
    submit train shards=2 gpus=4 prio=5 select=zone:a
    > j1 QUEUED
    plan
    > start j1 on n1[0 1 2 3], n1[4 5 6 7]

Lines that begin with `#` say what it is about. Every command runs the real apply, decide, check,
effects and explain, and every invariant is checked after each event. `pytest --accept` rewrites the
answers; the diff of them is what a reviewer reads.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from aimass.core import events as ev
from aimass.core.effects import Assignment, effects
from aimass.core.explain import explain
from aimass.core.model import (
    DeviceSpec,
    Exit,
    ExitReason,
    Inventory,
    Job,
    JobId,
    Node,
    NodeId,
    Placement,
)
from aimass.core.plan import Plan, Wait
from aimass.core.spec import WHOLE_GPU_MILLI, JobSpec, Need, Role, Strategy
from aimass.core.survey import wait_reason
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, live_ranks, with_failed, without

_BYTES = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}


@dataclass(frozen=True)
class Words:
    """A command's arguments: plain words, and key=value pairs in their order."""

    plain: list[str]
    pairs: list[tuple[str, str]]

    def get(self, key: str, default: str) -> str:
        """The last value given for a key."""
        return dict(self.pairs).get(key, default)

    def labels(self, key: str) -> dict[str, str]:
        """All `key=name:value` as a mapping."""
        return dict(value.split(":", 1) for k, value in self.pairs if k == key)


def run(text: str) -> str:
    """The same scenario with the answers that the code gives now."""
    scenario = Scenario()
    lines = []
    for line in text.splitlines():
        if line.startswith(">"):
            continue
        lines.append(line)
        if line.strip() and not line.startswith("#"):
            lines += [f"> {answer}" for answer in scenario.answer(line)]
    return "\n".join(lines) + "\n"


class Scenario:
    """One world, and what each command does to it."""

    def __init__(self) -> None:
        self.world = World()
        self.reported: dict[str, Inventory] = {}

    def answer(self, line: str) -> list[str]:
        """Carry out one command; its output, or what it changed."""
        name, *rest = shlex.split(line)
        pairs = [(w.split("=", 1)[0], w.split("=", 1)[1]) for w in rest if "=" in w]
        words = Words([w for w in rest if "=" not in w], pairs)
        before = self._states()
        said = _COMMANDS[name](self, words)
        return said if said is not None else self._changes(before)

    def _states(self) -> dict[str, str]:
        cluster = self.world.cluster
        rows: list[Job | Node] = [*cluster.nodes.values(), *cluster.jobs.values()]
        return {row.id: row.state.value for row in rows}

    def _changes(self, before: dict[str, str]) -> list[str]:
        changes = []
        for row, state in self._states().items():
            if row not in before:
                changes.append(f"{row} {state}")
            elif before[row] != state:
                changes.append(f"{row} {before[row]} -> {state}{self._cause(row)}")
        return changes or ["no state changes"]

    def _cause(self, row: str) -> str:
        job = self.world.cluster.jobs.get(JobId(row))
        if job is None:
            reason = self.world.cluster.nodes[NodeId(row)].reason
        elif job.attempts and not job.outcome:
            reason = job.attempts[-1].stop_reason
        else:
            reason = job.outcome
        return f" ({reason})" if reason else ""

    def job(self, words: Words) -> Job:
        """The job that the first word names."""
        return self.world.cluster.jobs[JobId(words.plain[0])]

    # ---- nodes ----------------------------------------------------------------------------------

    def node(self, words: Words) -> None:
        """`node NAME [NxMODEL ...] [island= gpu-memory= cpus= memory= label=k:v]`."""
        name, *models = words.plain
        devices: list[DeviceSpec] = []
        for model in models:
            count, kind = model.split("x", 1)
            island = int(words.get("island", "0"))
            memory_mib = mib(words.get("gpu-memory", "80GiB"))
            found = gpus(name, int(count), kind, memory_mib=memory_mib, island=island)
            at = len(devices)
            devices += (replace(d, uuid=f"GPU-{name}-{at + i}") for i, d in enumerate(found))
        self.reported[name] = inventory(
            name,
            tuple(devices),
            cpus=int(words.get("cpus", "64")),
            memory_mib=mib(words.get("memory", "512GiB")),
            labels=words.labels("label"),
        )
        self.world.join(name, self.reported[name])

    def inventory(self, words: Words) -> None:
        """`inventory NAME [failed=I] [gone=I]`: what it reports now, against what it had first."""
        self.world.do(
            ev.InventoryChanged,
            node_id=NodeId(words.plain[0]),
            inventory=self._reported(words),
        )

    def register(self, words: Words) -> None:
        """`register NAME [boot=N] [failed=I] [gone=I]`: the agent introduces itself again."""
        self.world.join(words.plain[0], self._reported(words), words.get("boot", "1"))

    def _reported(self, words: Words) -> Inventory:
        name = words.plain[0]
        failed = [f"GPU-{name}-{v}" for k, v in words.pairs if k == "failed"]
        gone = [f"GPU-{name}-{v}" for k, v in words.pairs if k == "gone"]
        return without(with_failed(self.reported[name], *failed), *gone)

    def silent(self, words: Words) -> None:
        """`silent NAME`: its heartbeats stopped."""
        self.world.do(ev.NodeSilent, node_id=NodeId(words.plain[0]), reason="no heartbeat")

    def lease_expired(self, words: Words) -> None:
        """`lease-expired NAME`: it was silent for longer than its lease."""
        self.world.do(ev.LeaseExpired, node_id=NodeId(words.plain[0]))

    # ---- jobs and shards ------------------------------------------------------------------------

    def submit(self, words: Words) -> None:
        """`submit NAME [role=R] [shards= gpus= cpus= ...]`; each `role=` begins another role."""
        self.world.submit_spec(spec_of(words))

    def cancel(self, words: Words) -> None:
        """`cancel JOB [grace=SECONDS]`."""
        self.world.cancel(self.job(words), int(words.get("grace", "30")) * 1000)

    def started(self, words: Words) -> None:
        """`started JOB [RANK ...] [attempt=N]`: without ranks, every shard that lives."""
        job = self.job(words)
        attempt = int(words.get("attempt", str(job.attempt)))
        for rank in ranks_of(job, words):
            self.world.do(
                ev.ShardStarted, job_id=job.id, attempt=attempt, rank=rank, pid=100 + rank
            )

    def exited(self, words: Words) -> None:
        """`exited JOB [RANK ...] [code= signal= reason= detail= attempt=]`."""
        job = self.job(words)
        attempt = int(words.get("attempt", str(job.attempt)))
        how = Exit(
            int(words.get("code", "0")),
            int(words.get("signal", "0")),
            ExitReason(words.get("reason", "EXITED")),
            words.get("detail", ""),
        )
        for rank in ranks_of(job, words):
            self.world.do(ev.ShardExited, job_id=job.id, attempt=attempt, rank=rank, exit=how)

    def port(self, words: Words) -> None:
        """`port JOB NUMBER`: rank 0's agent has reserved the rendezvous port."""
        job = self.job(words)
        number = int(words.plain[1])
        self.world.do(ev.PortReserved, job_id=job.id, attempt=job.attempt, port=number)

    # ---- the scheduler --------------------------------------------------------------------------

    def policy(self, words: Words) -> list[str]:
        """`policy ORDER PLACE`."""
        self.world.policy = make_policy(*words.plain)
        return [self.world.policy.tag]

    def plan(self, words: Words) -> list[str]:
        """`plan [fuel=N]`: decide, check, commit."""
        plan = self.world.plan(int(words.get("fuel", "5000000")))
        return self._starts(plan) + [self._wait(wait) for wait in plan.waits] or [
            "nothing to decide"
        ]

    def _wait(self, wait: Wait) -> str:
        cluster = self.world.cluster
        code, text = wait_reason(cluster, wait, cluster.jobs[wait.first])
        return f"wait {wait.first}: {code}: {text}"

    def _starts(self, plan: Plan) -> list[str]:
        lines = []
        for start in plan.starts:
            roles = self.world.cluster.jobs[start.job_id].spec.roles
            where = ", ".join(place_text(p, roles) for p in start.placements)
            again = f" attempt {start.attempt}" if start.attempt > 1 else ""
            lines.append(f"start {start.job_id}{again} on {where}")
        return lines

    def why(self, words: Words) -> list[str]:
        """`why JOB`: the whole explanation."""
        found = explain(self.world.cluster, self.job(words), self.world.policy)
        lines = [f"{found.code}: {found.summary}"]
        for blocker in found.blockers:
            nodes = " ".join(blocker.examples) + (" ..." if blocker.nodes > 3 else "")
            lines.append(f"  {blocker.nodes} x {blocker.code}: {blocker.text} ({nodes})")
        lines += [f"  held by {' '.join(found.holders)}"] if found.holders else []
        lines += [f"  ahead {found.ahead}"] if found.ahead else []
        return lines + [f"  fix: {way}" for way in found.unblock]

    def jobs(self, words: Words) -> list[str]:
        """`jobs`: every job, its state, attempt and outcome."""
        lines = []
        for job in self.world.cluster.jobs.values():
            outcome = f": {job.outcome}" if job.outcome else ""
            lines.append(f"{job.id} {job.state.value} attempt {job.attempt}{outcome}")
        return lines

    def desired(self, words: Words) -> list[str]:
        """`desired NODE`: the set that its agent is sent."""
        node = self.world.cluster.nodes[NodeId(words.plain[0])]
        found = effects(self.world.cluster, node)
        head = f"{found.node_id} term {found.term} generation {found.generation}"
        return [head, *(f"  {assignment_text(a)}" for a in found.assignments)]


_COMMANDS: dict[str, Callable[[Scenario, Words], list[str] | None]] = {
    **{"node": Scenario.node, "inventory": Scenario.inventory, "register": Scenario.register},
    **{"silent": Scenario.silent, "lease-expired": Scenario.lease_expired},
    **{"submit": Scenario.submit, "cancel": Scenario.cancel, "port": Scenario.port},
    **{"started": Scenario.started, "exited": Scenario.exited},
    **{"policy": Scenario.policy, "plan": Scenario.plan, "why": Scenario.why},
    **{"jobs": Scenario.jobs, "desired": Scenario.desired},
}


def spec_of(words: Words) -> JobSpec:
    """The JobSpec of a `submit` line."""
    roles = [Role("worker", 1, Need(), ("train",))]
    if words.pairs and words.pairs[0][0] == "role":
        roles = []
    for key, value in words.pairs:
        if key == "role":
            roles.append(Role(value, 1, Need(), ("train",)))
        elif key == "shards":
            roles[-1] = replace(roles[-1], shards=int(value))
        elif key in _NEEDS:
            field, parse = _NEEDS[key]
            roles[-1] = replace(roles[-1], need=replace(roles[-1].need, **{field: parse(value)}))
        else:
            assert key in ("prio", "grace", "select", "strategy"), f"submit knows no {key}="
    assert {field for field, _ in _NEEDS.values()} == {f.name for f in fields(Need)}
    return JobSpec(
        words.plain[0],
        tuple(roles),
        priority=int(words.get("prio", "0")),
        node_selector=words.labels("select"),
        strategy=Strategy(words.get("strategy", "default").upper()),
        grace_ms=int(words.get("grace", "30")) * 1000,
    )


def milli(text: str) -> int:
    """Thousandths: `0.25` is 250."""
    return round(float(text) * 1000)


def mib(text: str) -> int:
    """MiB of an amount with its unit: `2GiB` is 2048."""
    return int(text[:-3]) * _BYTES[text[-3:]]


_NEEDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "gpus": ("gpu_milli", milli),
    "cpus": ("cpu_milli", milli),
    "memory": ("memory_mib", mib),
    "type": ("gpu_types", lambda text: tuple(text.split(","))),
    "gpu-memory": ("gpu_memory_mib", mib),
}


def ranks_of(job: Job, words: Words) -> list[int]:
    """The ranks that a line names, else all that live."""
    return [int(word) for word in words.plain[1:]] or live_ranks(job)


def place_text(placement: Placement, roles: tuple[Role, ...]) -> str:
    """`n1[0 1]`, `n1[0]x0.25` for a share, `ps:n1` when there are several roles."""
    role = f"{roles[placement.role].name}:" if len(roles) > 1 else ""
    devices = f"[{' '.join(map(str, placement.devices))}]" if placement.devices else ""
    share = placement.share_milli
    part = f"x{share / 1000:g}" if 0 < share < WHOLE_GPU_MILLI else ""
    return f"{role}{placement.node_id}{devices}{part}"


def assignment_text(found: Assignment) -> str:
    """One shard of a desired set on one line."""
    shard = f"{found.job_id}.{found.attempt}.{found.rank}"
    if found.stop:
        return f"{shard} stop within {found.grace_ms / 1000:g} s: {found.stop_reason}"
    launch = found.launch
    if launch is None:
        return f"{shard} runs"
    return (
        f"{shard} run gpus {_short(launch.device_uuids)} visible {_short(launch.visible_uuids)}"
        f" local {launch.local_rank}/{launch.local_world_size}"
        f" group {launch.group_rank}/{launch.group_world_size} role rank {launch.role_rank}"
        f" master {launch.master_addr}:{launch.master_port}"
    )


def _short(uuids: tuple[str, ...]) -> str:
    return ",".join(uuid.rsplit("-", 1)[1] for uuid in uuids) or "none"
