"""Specs: what is submitted for the jobs of a trace."""

from functools import lru_cache

from aimass.core.spec import WHOLE_GPU_MILLI, Checkpoint, Elastic, JobSpec, Need, Retry, Role
from aimass.core.spec_problems import RETRIES_MAX
from aimass.simulator.clusters import Kinds
from aimass.simulator.models import Costs
from aimass.simulator.tracejob import TraceJob, shard_gpus

# Who is moved or resized can be told to save what it has done.
_NOTICED, _UNNOTICED = Checkpoint("SIGUSR1"), Checkpoint()
# A program that a failure ends is tried again as often as can be: it is not the program's fault.
_RETRIED, _TRIED_ONCE = Retry(RETRIES_MAX), Retry()


class Specs:
    """Specs for jobs on one cluster; equal shapes share their roles.

    A gang that fits on one node is one shard; a larger one is as few equal shards as can be.
    is_scattered: every GPU is a shard of its own, so that any free GPUs will do, on whichever
    nodes. So it is for elastic jobs: they have one role of as many shards as they get GPUs.
    is_retried: programs fail by themselves now and then, and are tried again.
    """

    def __init__(
        self, kinds: Kinds, costs: Costs, is_scattered: bool = False, is_retried: bool = False
    ) -> None:
        resize_ms = costs.start_ms + costs.restart_ms + costs.stop_ms
        self._retry = _RETRIED if is_retried else _TRIED_ONCE
        self._is_saved = not costs.checkpoint_ms
        self._is_scattered = is_scattered

        @lru_cache(maxsize=4096)
        def roles(
            gpu_milli: int, cpu_milli: int, mib: int, types: tuple[str, ...], least: int, most: int
        ) -> tuple[Role, ...]:
            need = Need(gpu_milli, cpu_milli, mib, types)
            suitable = [kind for kind in kinds if not types or kind.gpu_type in types]
            gpus = gpu_milli // WHOLE_GPU_MILLI
            if not most:
                node_gpus = 1 if is_scattered else max(kind.gpus for kind in suitable)
                shards = gpus // shard_gpus(gpus, node_gpus) if gpus else 1
                return (Role("worker", shards, _part(need, shards), ("work",)),)
            most = max(least, min(most, sum(kind.total for kind in suitable)))
            elastic = Elastic(least, most, 1, resize_ms, costs.resize_every_ms)
            shards = min(max(gpus, least), most)
            return (Role("worker", shards, _part(need, gpus), ("work",), elastic),)

        self._roles = roles

    def spec(self, job: TraceJob, at_ms: int) -> JobSpec:
        """What is submitted at that moment, with a run time for policies that want one."""
        asked = (job.gpu_milli, job.cpu_milli, job.memory_mib, job.gpu_types)
        is_told = job.is_movable or ((bool(job.gpus_max) or self._is_scattered) and self._is_saved)
        return JobSpec(
            job.name,
            self._roles(*asked, job.gpus_min, job.gpus_max),
            priority=job.priority,
            queue=job.queue,
            expected_ms=job.told_ms or max(1, job.work_ms),
            grace_ms=0,
            movable=job.is_movable,
            checkpoint=_NOTICED if is_told else _UNNOTICED,
            retry=self._retry,
            speeds=job.told_speeds or job.speeds,
            due_ms=at_ms + job.slo_ms if job.slo_ms else 0,
        )


def told_left_ms(job: TraceJob, left_ms: int) -> int:
    """What a program says is left, which is as far off as what was expected of the whole."""
    return left_ms * job.told_ms // max(1, job.work_ms) if job.told_ms else left_ms


def _part(need: Need, shards: int) -> Need:
    """What one of so many equal shards needs; CPU and memory rounded up."""
    return Need(
        need.gpu_milli // shards,
        -(-need.cpu_milli // shards),
        -(-need.memory_mib // shards),
        need.gpu_types,
    )
