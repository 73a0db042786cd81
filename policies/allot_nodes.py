"""What nodes have to give out, as allotters count it: healthy GPUs by model, where jobs may go."""

from aimass.core.cluster import Cluster
from aimass.core.model import Job, Node, NodeState
from aimass.core.spec import JobSpec
from aimass.policies.allot_speeds import Model


def models_of(cluster: Cluster) -> tuple[Model, ...]:
    """Healthy GPUs by model, in the order in which the nodes joined, of nodes that take jobs."""
    total: dict[str, int] = {}
    most: dict[str, int] = {}
    for node in cluster.nodes.values():
        here: dict[str, int] = {}
        for device in node.devices:
            here[device.spec.model] = here.get(device.spec.model, 0) + device.spec.healthy
        for model, gpus in here.items():
            total[model] = total.get(model, 0) + (gpus if takes_jobs(node) else 0)
            most[model] = max(most.get(model, 0), gpus)
    return tuple(Model(name, gpus, most[name]) for name, gpus in total.items())


def takes_jobs(node: Node) -> bool:
    """True when new jobs may go to the node."""
    return node.state is NodeState.READY and not node.cordon


def set_aside(spec: JobSpec, models: tuple[Model, ...], left: list[int]) -> bool:
    """Take GPUs of several models out of what is left for such a gang; False when they lack.

    Of models that a role names those; else of that with most left. O(roles * models log models).
    """
    before = list(left)
    for role in spec.roles:
        named = {name.lower() for name in role.need.gpu_types}
        able = [at for at, m in enumerate(models) if not named or m.name.lower() in named]
        gpus = role.least * role.need.devices
        for at in sorted(able, key=lambda at: -left[at]):
            some = min(gpus, max(0, left[at]))
            left[at] -= some
            gpus -= some
        if gpus:
            left[:] = before
            return False
    return True


def on_closed(cluster: Cluster, job: Job) -> int:
    """GPUs that the active job holds on nodes that take no jobs: they are in no count of models."""
    places = job.current.placements if job.state.is_active else ()
    return sum(len(p.devices) for p in places if not takes_jobs(cluster.nodes[p.node_id]))
