"""TraceJob: one job of a trace, whichever its format; and why it fits on no node of a cluster."""

from dataclasses import dataclass, replace

from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.speeds import Speeds
from aimass.simulator.clusters import Kinds, NodeKind

QUEUE = "default"


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
    gpus = job.gpus_min or -(-job.gpu_milli // WHOLE_GPU_MILLI)
    each = 1 if job.gpus_min else shard_gpus(gpus, max(kind.gpus for kind in suitable))
    shards = max(1, gpus // each)
    room = sum(kind.nodes * _shards_of(kind, job, shards, min(gpus, each)) for kind in suitable)
    if shards > room:
        asked = f"asks for {gpus} GPUs in parts of {each}"
        return f"{asked}, and there is room for {room * each}{_beside(job)}"
    return None


def fix_of(job: TraceJob, kinds: Kinds, otherwise: str) -> str:
    """What to do about a misfit: name the type that is missing, or a larger cluster.

    otherwise: how such jobs are left out.
    """
    wanted = missing_types(job, kinds)
    what = f"add nodes with {' or '.join(wanted)}" if wanted else "name a larger cluster"
    return f"{what}, or leave such jobs out with {otherwise}"


def missing_types(job: TraceJob, kinds: Kinds) -> tuple[str, ...]:
    """The GPU types that it asks for, where no node has any of them."""
    wanted = spelled(job, kinds).gpu_types
    return () if any(kind.gpu_type in wanted for kind in kinds) else wanted


def _shards_of(kind: NodeKind, job: TraceJob, shards: int, each: int) -> int:
    """How many of its shards an empty node of the kind holds, up to all."""
    room = min(shards, kind.gpus // each) if each else shards
    for has, asked in ((kind.cpu_milli, job.cpu_milli), (kind.memory_mib, job.memory_mib)):
        if asked:
            room = min(room, has // -(-asked // shards))
    return room


def _beside(job: TraceJob) -> str:
    return " with the CPU and memory that it asks for" if job.cpu_milli or job.memory_mib else ""


def _models(kinds: Kinds) -> str:
    return ", ".join(dict.fromkeys(kind.gpu_type for kind in kinds))


def shard_gpus(gpus: int, most: int) -> int:
    """GPUs of a shard: the most that a node holds and that divide the gang equally."""
    return next((each for each in range(min(gpus, most), 0, -1) if gpus % each == 0), 1)
