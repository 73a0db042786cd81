"""Plans made by hand, for the tests of check()."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aimass.core.check import check
from aimass.core.decide import decide
from aimass.core.model import Job, JobId, NodeId, Placement, StopRule
from aimass.core.plan import Claim, Plan, Stop
from tests.core.world import World, one_role

NOBODY = JobId("")
UNKNOWN = JobId("j99")


def place(*devices: int, node: str = "n1", **fields: Any) -> Placement:
    """Whole devices of a node."""
    return replace(Placement(0, NodeId(node), devices, 1000, 0, 0), **fields)


def running(world: World, gpu_count: float = 2, **fields: Any) -> Job:
    """A job that has started and runs."""
    job = world.submit(one_role(gpus=gpu_count), **fields)
    world.commit(decide(world.cluster, world.policy))
    world.start(job)
    return job


Mutation = Callable[[Plan], Plan]


def of(part: str, **fields: Any) -> Mutation:
    """Replace fields of the first element of a part."""

    def mutate(plan: Plan) -> Plan:
        first, *rest = getattr(plan, part)
        return replace(plan, **{part: (replace(first, **fields), *rest)})

    return mutate


def reasons(world: World, plan: Plan) -> list[str]:
    """Why parts of a plan are rejected."""
    return [rejection.reason for rejection in check(world.cluster, plan)[1]]


def by_hand(world: World, **parts: Any) -> Plan:
    """A plan of these parts on the cluster as it is."""
    return Plan(world.cluster.revision, "by hand", **parts)


def preempting(world: World, victim: str, by: str, rule: StopRule = StopRule.PRIORITY) -> Plan:
    """`by` takes the place of the victim, by hand."""
    job = world.cluster.jobs[JobId(victim)]
    stop = Stop(job.id, job.attempt, rule, JobId(by), "by hand", lost_by(world, victim))
    claim = Claim(JobId(by), 1, job.current.placements, "by hand", (job.id,))
    return by_hand(world, stops=(stop,), claims=(claim,))


def lost_by(world: World, job_id: str) -> int:
    job = world.cluster.jobs[JobId(job_id)]
    return (world.now_ms - job.current.running_ms) * sum(
        len(p.devices) for p in job.current.placements
    )
