"""Queueing runs: all that were asked for, means over seeds, and paired differences."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aimass.policies.pack_mix import mix_of, typical_classes
from aimass.policies.pack_policies import KERNELS, PackPolicy
from aimass.policies.pack_state import GPU_MILLI
from aimass.simulator.intervals import interval
from aimass.simulator.pack_files import PackNode, fits_empty
from aimass.simulator.packing import packer_of
from aimass.simulator.queueing import replay
from aimass.simulator.queueing_load import HOUR_MS, LIFE_MS_MAX, Job, workload
from aimass.simulator.queueing_meter import Outcome, Span

# Idle at first; after the longest life everything there has come in the load that is measured. Who
# comes last has half a day to start.
SPAN = Span(LIFE_MS_MAX, 2 * LIFE_MS_MAX, 2 * LIFE_MS_MAX + 12 * HOUR_MS)

POLICIES = tuple(KERNELS)

Measures = dict[str, float | None]  # None where no job was of that kind


@dataclass(frozen=True)
class QueueRun:
    """One policy at one load with one seed's jobs."""

    policy: str
    load: float
    seed: int
    outcome: Outcome

    @property
    def measures(self) -> Measures:
        """The figures that policies are compared by; less is better, but for alloc_pct."""
        outcome = self.outcome
        return {
            **_waits("wait", outcome.waits_ms),
            **_waits("wait8", outcome.waits_8_ms),
            "unstarted": outcome.unstarted,
            "alloc_pct": outcome.alloc_pct,
            "frag_pct": outcome.frag_pct,
        }


def runnable(trace: Sequence[Job], nodes: Sequence[PackNode]) -> list[Job]:
    """Leave out the jobs that could never start, though the cluster were empty."""
    places: dict[tuple[Any, ...], bool] = {}
    for job in trace:
        key = (job.shape, job.pods)
        if key not in places:
            places[key] = sum(_most(job, node) for node in nodes) >= job.pods
    return [job for job in trace if places[job.shape, job.pods]]


def queue_runs(
    nodes: Sequence[PackNode],
    trace: Sequence[Job],
    policies: Sequence[str],
    loads: Sequence[float],
    seeds: Iterable[int],
    promises: int = 0,
) -> Iterator[QueueRun]:
    """Run every policy at every load with every seed; all policies get the same jobs and nodes.

    fgd knows the mix of the whole trace in advance, as published; it also measures fragmentation.
    """
    capacity_milli = GPU_MILLI * sum(node.gpus for node in nodes)
    classes = typical_classes([job.shape for job in trace])
    order = list(seeds)
    for load in loads:
        for seed in order:
            jobs = workload(trace, capacity_milli, load, seed, SPAN.stop)
            for policy in policies:
                packer = packer_of(nodes, PackPolicy(policy, classes, seed), seed)
                outcome = replay(packer, jobs, mix_of(classes, packer.models), SPAN, promises)
                yield QueueRun(policy, load, seed, outcome)


def summary(runs: Sequence[QueueRun]) -> list[dict[str, Any]]:
    """Give, for each load and policy, every measure's mean and standard deviation over seeds."""
    rows = []
    for (load, policy), some in _grouped(runs).items():
        columns = {name: _present(run.measures[name] for run in some) for name in some[0].measures}
        rows.append(
            {
                "load": load,
                "policy": policy,
                **{
                    name: {"mean": statistics.fmean(values), "sd": _spread(values)}
                    for name, values in columns.items()
                    if values
                },
            }
        )
    return rows


def paired(runs: Sequence[QueueRun], against: str) -> list[dict[str, Any]]:
    """Give each policy's difference to another one, seed by seed, with a 95 % interval of its mean.

    The interval is the bootstrap's percentiles over seeds (Efron, 1979), from a fixed stream.
    """
    groups = _grouped(runs)
    rows = []
    for (load, policy), some in groups.items():
        if policy == against or (load, against) not in groups:
            continue
        other = {run.seed: run.measures for run in groups[load, against]}
        row: dict[str, Any] = {"load": load, "policy": policy, "against": against}
        for name in some[0].measures:
            pairs = [(run.measures[name], other[run.seed][name]) for run in some]
            differences = [one - two for one, two in pairs if one is not None and two is not None]
            if differences:
                is_spread = len(differences) > 1  # one seed says nothing of others
                low, high = interval(differences) if is_spread else (None, None)
                mean = statistics.fmean(differences)
                row[name] = {"mean": mean, "low": low, "high": high}
        rows.append(row)
    return rows


def as_view(run: QueueRun) -> dict[str, Any]:
    """Give one run as plain values, with the state over time."""
    samples = run.outcome.samples
    return {
        "policy": run.policy,
        "load": run.load,
        "seed": run.seed,
        **run.measures,
        "jobs": len(run.outcome.waits_ms),
        "jobs8": len(run.outcome.waits_8_ms),
        "over_time": {
            "hours": [sample.at_ms / HOUR_MS for sample in samples],
            "alloc_pct": [round(sample.alloc_pct, 3) for sample in samples],
            "frag_pct": [round(sample.frag_pct, 3) for sample in samples],
            "waiting": [round(sample.waiting, 1) for sample in samples],
        },
        "decisions": run.outcome.decisions,
        "cpu_s": round(run.outcome.cpu_s, 3),
    }


def _most(job: Job, node: PackNode) -> int:
    """How many pods of a job an empty node takes, at most as many as there are."""
    if not fits_empty(job.shape, node):
        return 0
    shape = job.shape
    pairs = ((node.cpu_milli, shape.cpu_milli), (node.memory_mib, shape.memory_mib))
    fits = [has // each for has, each in pairs if each]
    if shape.gpus:
        fits.append(node.gpus // shape.gpus * (GPU_MILLI // shape.gpu_milli))
    return min([job.pods, *fits])


def _waits(name: str, waits_ms: Sequence[int]) -> Measures:
    """Mean, median and 99th percentile (nearest rank) in seconds."""
    if not waits_ms:
        return dict.fromkeys((f"{name}_mean_s", f"{name}_p50_s", f"{name}_p99_s"))
    ranked = sorted(waits_ms)
    at = {pct: ranked[-(-pct * len(ranked) // 100) - 1] / 1000 for pct in (50, 99)}
    mean_s = statistics.fmean(ranked) / 1000
    return {f"{name}_mean_s": mean_s, f"{name}_p50_s": at[50], f"{name}_p99_s": at[99]}


def _grouped(runs: Sequence[QueueRun]) -> Mapping[tuple[float, str], list[QueueRun]]:
    groups: dict[tuple[float, str], list[QueueRun]] = {}
    for run in runs:
        groups.setdefault((run.load, run.policy), []).append(run)
    return groups


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
