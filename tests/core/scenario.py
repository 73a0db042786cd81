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
from dataclasses import replace

from aimass.core import events as ev
from aimass.core.apply_jobs import update_problem
from aimass.core.arrays import jobs_of
from aimass.core.depends import dependency_problem
from aimass.core.effects import effects
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
)
from aimass.core.queue_problems import admission_problem, queue_problems, queue_warnings
from aimass.core.spec_problems import Problem, problems
from aimass.core.windows import window_problems
from aimass.policies.registry import make_policy
from tests.core.scenario_text import (
    assignment_text,
    claim_text,
    plan_lines,
    promise_text,
    queue_text,
    wait_line,
    why_lines,
)
from tests.core.scenario_words import (
    Words,
    clock_text,
    mib,
    queue_of,
    span_ms,
    spec_of,
    window_of,
)
from tests.core.world import World, gpus, inventory, live_ranks, with_failed, without


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
                changes.append(f"{row} {before[row]} -> {state}{self._cause(row, before[row])}")
        return changes or ["no state changes"]

    def _cause(self, row: str, before: str) -> str:
        job = self.world.cluster.jobs.get(JobId(row))
        if job is None:
            reason = self.world.cluster.nodes[NodeId(row)].reason
        elif before == "HELD" and not job.outcome:
            reason = ""
        elif job.hold_reason:
            reason = job.hold_reason
        elif job.attempts and not job.outcome:
            reason = job.attempts[-1].stop_reason
        else:
            reason = job.outcome
        return f" ({reason})" if reason else ""

    def job(self, words: Words) -> Job:
        """The job that the first word names."""
        return self.world.cluster.jobs[JobId(words.plain[0])]

    def each(self, words: Words) -> list[Job]:
        """The jobs that the first word names: one, or all tasks of an array."""
        return jobs_of(self.world.cluster, words.plain[0])

    # ---- time -----------------------------------------------------------------------------------

    def at(self, words: Words) -> list[str]:
        """`at TIME`: let time pass until then; the scheduler decides whenever something is due."""
        until_ms = span_ms(words.plain[0])
        assert until_ms >= self.world.now_ms, f"it is {clock_text(self.world.now_ms)} already"
        lines = []
        before = self._states()
        while self.world.tick(until_ms):
            happened = self._changes(before) if self._states() != before else []
            happened += plan_lines(self.world.cluster, self.world.plan())
            before = self._states()
            lines += [f"{clock_text(self.world.now_ms)} {line}" for line in happened]
        return lines or ["nothing happens"]

    def wait(self, words: Words) -> list[str]:
        """`wait SPAN`: the same, so much later."""
        until_ms = self.world.now_ms + span_ms(words.plain[0])
        return self.at(Words([clock_text(until_ms)], []))

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
        taints = words.names("taint")
        self.reported[name] = replace(self.reported[name], taints=taints)
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

    def cordon(self, words: Words) -> None:
        """`cordon NAME [REASON]`: nothing new goes there."""
        reason = " ".join(words.plain[1:])
        node_id = NodeId(words.plain[0])
        self.world.do(ev.NodeCordoned, node_id=node_id, by="ann", reason=reason)

    def drain(self, words: Words) -> None:
        """`drain NAME [in=SPAN]`: what runs there is stopped then, at once by default."""
        at_ms = self.world.now_ms + max(1000, span_ms(words.get("in", "1s")))
        node_id = NodeId(words.plain[0])
        self.world.do(ev.NodeCordoned, node_id=node_id, by="ann", reason="drain", drain_ms=at_ms)

    def uncordon(self, words: Words) -> None:
        """`uncordon NAME`."""
        self.world.do(ev.NodeUncordoned, node_id=NodeId(words.plain[0]), by="ann")

    def levels(self, words: Words) -> None:
        """`levels block,rack`: the levels of the topology, widest first."""
        self.world.do(ev.LevelsPut, levels=tuple(words.plain[0].split(",")))

    # ---- queues and windows ---------------------------------------------------------------------

    def queue(self, words: Words) -> list[str] | None:
        """`queue NAME [parent= weight= quota=gpu:8 limit= borrow= lend= job-limit= ...]`."""
        spec = queue_of(words)
        refusals = list(queue_problems(self.world.cluster, spec))
        if refusals:
            return refused(refusals)
        warnings = queue_warnings(self.world.cluster, spec)
        self.world.do(ev.QueuePut, spec=spec, by="ann")
        return [f"said: {warning}" for warning in warnings] or None

    def window(self, words: Words) -> list[str] | None:
        """`window NAME nodes=n1,n2 start= length= [every= until= users= queues=] [maintenance]`."""
        spec = window_of(words)
        refusals = window_problems(self.world.cluster, spec, self.world.now_ms)
        if refusals:
            return refused(refusals)
        self.world.do(ev.WindowPut, spec=spec, by="ann")
        return None

    def share(self, words: Words) -> list[str]:
        """`share`: what every queue uses."""
        return [queue_text(queue) for queue in self.world.cluster.queues.values()]

    # ---- jobs and shards ------------------------------------------------------------------------

    def submit(self, words: Words) -> list[str] | None:
        """`submit NAME [hold] [role=R] [shards= gpus= ...]`; each `role=` begins another role.

        See scenario_words for the options.
        """
        spec = spec_of(words)
        refusals = self.world.refusals(spec)
        refusals += [p for p in (admission_problem(self.world.cluster, spec),) if p]
        if refusals:
            return [f"refused: {refusal}" for refusal in refusals]
        self.world.submit_spec(spec, user=words.get("user", "ann"), held="hold" in words.plain)
        return None

    def cancel(self, words: Words) -> None:
        """`cancel JOB [grace=SECONDS]`."""
        for job in self.each(words):
            self.world.cancel(job, int(words.get("grace", "30")) * 1000)

    def hold(self, words: Words) -> None:
        """`hold JOB [REASON]`."""
        reason = " ".join(words.plain[1:])
        for job in self.each(words):
            self.world.do(ev.JobHeld, job_id=job.id, by="ann", reason=reason)

    def release(self, words: Words) -> None:
        """`release JOB`."""
        for job in self.each(words):
            self.world.do(ev.JobReleased, job_id=job.id, by="ann")

    def requeue(self, words: Words) -> None:
        """`requeue JOB [suspend]`."""
        suspend = "suspend" in words.plain
        for job in self.each(words):
            self.world.do(ev.JobRequeueRequested, job_id=job.id, by="ann", suspend=suspend)

    def update(self, words: Words) -> list[str] | None:
        """`update JOB [OPTION ...]`: the options of submit, on top of what the job has."""
        for job in self.each(words):
            spec = spec_of(words, job.spec)
            refusals = [f"{field}: {text}" for field, text in problems(spec)]
            refusals += [p for p in (update_problem(job, spec),) if p]
            refusals += [p for p in (dependency_problem(self.world.cluster, spec, job.id),) if p]
            if refusals:
                return [f"refused: {refusal}" for refusal in refusals]
            self.world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")
        return None

    def checkpoint(self, words: Words) -> None:
        """`checkpoint JOB [age=SPAN]`: it has completed one."""
        job = self.job(words)
        age_ms = span_ms(words.get("age", ""))
        self.world.do(ev.CheckpointReported, job_id=job.id, attempt=job.attempt, age_ms=age_ms)

    def started(self, words: Words) -> None:
        """`started JOB [RANK ...] [attempt=N]`: without ranks, every shard that lives."""
        for job in self.each(words):
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
        """`policy ORDER PLACE [promises=K] [moves=N]`."""
        options = {key: int(value) for key, value in words.pairs}
        self.world.policy = make_policy(*words.plain, **options)
        return [self.world.policy.tag]

    def plan(self, words: Words) -> list[str]:
        """`plan [fuel=N]`: decide, check, commit."""
        plan = self.world.plan(int(words.get("fuel", "5000000")))
        cluster = self.world.cluster
        lines = [*plan_lines(cluster, plan), *(wait_line(cluster, w) for w in plan.waits)]
        return lines or ["nothing to decide"]

    def promised(self, words: Words) -> list[str]:
        """`promised`: the starts that blocked jobs are promised."""
        cluster = self.world.cluster
        return [promise_text(cluster, p) for p in cluster.planned.values()] or ["nobody"]

    def claims(self, words: Words) -> list[str]:
        """`claims`: who owns what others are still leaving."""
        cluster = self.world.cluster
        return [claim_text(cluster, c) for c in cluster.claims.values()] or ["nobody"]

    def why(self, words: Words) -> list[str]:
        """`why JOB`: the whole explanation."""
        cluster = self.world.cluster
        now_ms = self.world.now_ms
        return why_lines(explain(cluster, self.job(words), self.world.policy, now_ms), now_ms)

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
    **{name: getattr(Scenario, name) for name in ("at", "wait", "node", "inventory", "register")},
    **{name: getattr(Scenario, name) for name in ("silent", "cordon", "drain", "uncordon")},
    **{"lease-expired": Scenario.lease_expired},
    **{name: getattr(Scenario, name) for name in ("levels", "queue", "window", "share")},
    **{name: getattr(Scenario, name) for name in ("submit", "cancel", "hold", "release")},
    **{name: getattr(Scenario, name) for name in ("requeue", "update", "checkpoint", "port")},
    **{name: getattr(Scenario, name) for name in ("started", "exited", "policy", "plan")},
    **{name: getattr(Scenario, name) for name in ("promised", "claims", "why", "jobs", "desired")},
}


def ranks_of(job: Job, words: Words) -> list[int]:
    """The ranks that a line names, else all that live."""
    return [int(word) for word in words.plain[1:]] or live_ranks(job)


def refused(found: list[Problem]) -> list[str]:
    """What the edge would answer, a line for each field."""
    return [f"refused: {field}: {text}" for field, text in found]
