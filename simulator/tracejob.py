"""TraceJob: one job of a trace, whichever its format; and the spec that is submitted for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from aimass.core.spec import WHOLE_GPU_MILLI, Checkpoint, JobSpec, Need, Role
from aimass.core.speeds import Speeds
from aimass.simulator.clusters import Kinds

QUEUE = "default"
_NOTICED, _UNNOTICED = Checkpoint("SIGUSR1"), Checkpoint()


@dataclass(frozen=True, slots=True)
class TraceJob:
    """What a trace says of one job.

    submit_ms: on the trace's own clock. work_ms: how long it runs when nobody stops it, at its
    normal speed. gpu_milli: of the whole gang; below 1000 a share of one GPU. slo_ms: it should
    have ended so long after its submission; 0: whenever. speeds: where it is not normal; above 0,
    types on which it cannot run are not in gpu_types. line: where it stands in its file. app: its
    name in performance tables; empty: in none. steps: its work in the app's own unit, batch: the
    global batch size asked for; 0: not said. gpus_min, gpus_max: an elastic job takes so many GPUs;
    0 and 0: it is rigid. told_ms: the run time that policies are told; 0: the true one.
    told_speeds: the speeds that they are told; (): the true ones.
    cpu_milli, memory_mib: of the whole gang, as asked for. is_movable: it may be moved so that
    others can start.
    """

    name: str
    submit_ms: int
    work_ms: int
    gpu_milli: int
    line: int = 0
    user: str = ""
    queue: str = QUEUE
    priority: int = 0
    gpu_types: tuple[str, ...] = ()
    slo_ms: int = 0
    speeds: Speeds = ()
    app: str = ""
    steps: int = 0
    batch: int = 0
    gpus_min: int = 0
    gpus_max: int = 0
    told_ms: int = 0
    told_speeds: Speeds = ()
    cpu_milli: int = 0
    memory_mib: int = 0
    is_movable: bool = False


def spelled(job: TraceJob, kinds: Kinds) -> TraceJob:
    """The job with the GPU types of that cluster as they are spelled there: V100 for v100."""
    if not (job.gpu_types or job.speeds):
        return job
    own = {kind.gpu_type.casefold(): kind.gpu_type for kind in kinds}
    gpu_types = tuple(own.get(name.casefold(), name) for name in job.gpu_types)
    speeds = tuple(
        replace(one, gpu_type=own.get(one.gpu_type.casefold(), one.gpu_type)) for one in job.speeds
    )
    if gpu_types == job.gpu_types and speeds == job.speeds:
        return job
    return replace(job, gpu_types=tuple(sorted(gpu_types)), speeds=speeds)


def misfit(job: TraceJob, kinds: Kinds) -> str | None:
    """Why the job could never start on this cluster, even if it were empty; None: it could."""
    wanted = spelled(job, kinds).gpu_types
    suitable = [kind for kind in kinds if not wanted or kind.gpu_type in wanted]
    if not suitable:
        return f"asks for {' or '.join(wanted)}, and there are {_models(kinds)}"
    each = _each(job.gpu_milli // WHOLE_GPU_MILLI, max(kind.gpus for kind in suitable))
    room = sum(kind.nodes * (kind.gpus // each) * each for kind in suitable)
    if job.gpu_milli > room * WHOLE_GPU_MILLI:
        asked = job.gpu_milli // WHOLE_GPU_MILLI
        return f"asks for {asked} GPUs in parts of {each}, and there is room for {room}"
    return None


def _models(kinds: Kinds) -> str:
    return ", ".join(dict.fromkeys(kind.gpu_type for kind in kinds))


class Specs:
    """Specs for jobs on one cluster; equal shapes share their roles.

    A gang that fits on one node is one shard; a larger one is as few equal shards as can be.
    is_scattered: every GPU is a shard of its own, so that any free GPUs will do, on whichever
    nodes: clusters that are nothing but a number of GPUs.
    """

    def __init__(self, kinds: Kinds, is_scattered: bool = False) -> None:
        @lru_cache(maxsize=4096)
        def roles(gpu_milli: int, gpu_types: tuple[str, ...]) -> tuple[Role, ...]:
            suitable = [k.gpus for k in kinds if not gpu_types or k.gpu_type in gpu_types]
            most = 1 if is_scattered else max(suitable)
            return (_role(gpu_milli, gpu_types, most),)

        self._roles = roles

    def spec(self, job: TraceJob) -> JobSpec:
        """What is submitted, with a run time for policies that want one."""
        return JobSpec(
            job.name,
            self._roles(job.gpu_milli, job.gpu_types),
            priority=job.priority,
            queue=job.queue,
            expected_ms=job.told_ms or max(1, job.work_ms),
            grace_ms=0,
            movable=job.is_movable,
            checkpoint=_NOTICED if job.is_movable else _UNNOTICED,
        )


def _role(gpu_milli: int, gpu_types: Sequence[str], most: int) -> Role:
    if gpu_milli < WHOLE_GPU_MILLI:
        return Role("worker", 1, Need(gpu_milli=gpu_milli, gpu_types=tuple(gpu_types)), ("work",))
    gpus = gpu_milli // WHOLE_GPU_MILLI
    each = _each(gpus, most)
    need = Need(gpu_milli=each * WHOLE_GPU_MILLI, gpu_types=tuple(gpu_types))
    return Role("worker", gpus // each, need, ("work",))


def _each(gpus: int, most: int) -> int:
    """GPUs of a shard: the most that a node holds and that divide the gang equally."""
    return next((each for each in range(min(gpus, most), 0, -1) if gpus % each == 0), 1)
