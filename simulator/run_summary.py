"""What a run comes to: the summary of `massctl sim run`, and a record for every job.

Times are seconds on the trace's clock. Everything but the MEASURED follows from the arguments, so
equal runs give equal bytes.
"""

from array import array
from dataclasses import dataclass, field
from typing import Any

from aimass.simulator.attempts import Record
from aimass.simulator.run import Outcome

Row = dict[str, Any]
HOUR_GPU_MS = 3_600_000 * 1000  # milli-GPU x ms
MICRO = 1_000_000

JOB_FIELDS = (
    *("id", "user", "queue", "gpus", "submit_s", "run_s", "start_s", "end_s", "jct_s", "wait_s"),
    *("attempts", "preemptions", "lost_s", "met_slo", "failures", "is_failed"),
)


@dataclass(slots=True)
class Tally:
    """The figures of all jobs that have ended, as they end. 16 bytes a job."""

    jct_ms: "array[int]" = field(default_factory=lambda: array("q"))
    wait_ms: "array[int]" = field(default_factory=lambda: array("q"))
    restarts: int = 0
    lost: int = 0  # milli-GPU x ms that were held, and did no work that counted
    with_slo: int = 0
    met_slo: int = 0

    def add(self, record: Record) -> None:
        """Count one job, whether it ended or not."""
        job = record.job
        self.restarts += max(0, record.attempts - 1)
        self.lost += record.held - record.worked
        if job.slo_ms:
            self.with_slo += 1
            self.met_slo += _met_slo(record) is True
        if record.end_ms >= 0 and not record.is_failed:
            jct_ms = record.end_ms - job.submit_ms
            self.jct_ms.append(jct_ms)
            self.wait_ms.append(jct_ms - record.held_ms)


def _met_slo(record: Record) -> bool | None:
    job = record.job
    if not job.slo_ms:
        return None
    return not record.is_failed and 0 <= record.end_ms <= job.submit_ms + job.slo_ms


def job_row(record: Record) -> Row:
    """One job for --jobs; JOB_FIELDS are its columns. wait_s: all the time without places."""
    job, is_over = record.job, record.end_ms >= 0
    jct_ms = record.end_ms - job.submit_ms
    values = (
        job.name,
        job.user,
        job.queue,
        job.gpu_milli / 1000,
        job.submit_ms / 1000,
        job.work_ms / 1000,
        record.start_ms / 1000 if record.start_ms >= 0 else None,
        record.end_ms / 1000 if is_over else None,
        jct_ms / 1000 if is_over else None,
        (jct_ms - record.held_ms) / 1000 if is_over else None,
        record.attempts,
        record.preemptions,
        record.lost_ms / 1000,
        _met_slo(record),
        record.failures,
        record.is_failed,
    )
    return dict(zip(JOB_FIELDS, values, strict=True))


MEASURED = ("wall_s", "cpu_s", "peak_rss_mib")


def summary(
    *, policy: str, trace: str, sha256: str, seed: int, outcome: Outcome, tally: Tally, took: Row
) -> Row:
    """The figures of one run. None: there is nothing to tell. took: the MEASURED.

    Jobs that failed for good count as jobs, not as finished. gpu_util: of all GPU time between the
    first submission and the last end, in service or not, the part that was held. frag: of all that
    idled, the part on nodes of which something else was held. slo_attainment: of the jobs that have
    one. cost: of held GPU time, by its price; None without prices. failures: of programs, GPUs,
    nodes and racks.
    """
    jct, wait = sorted(tally.jct_ms), sorted(tally.wait_ms)
    capacity = outcome.held + outcome.idle + outcome.down
    return {
        "policy": policy,
        "trace": trace,
        "jobs": outcome.jobs,
        "finished": outcome.finished,
        "jct_mean_s": _mean_s(jct),
        "jct_p50_s": quantile_s(jct, 50),
        "jct_p95_s": quantile_s(jct, 95),
        "jct_p99_s": quantile_s(jct, 99),
        "wait_mean_s": _mean_s(wait),
        "wait_p95_s": quantile_s(wait, 95),
        "makespan_s": (outcome.end_ms - outcome.begin_ms) / 1000,
        "gpu_util": _part(outcome.held, capacity),
        "frag": _part(outcome.idle_beside, outcome.idle),
        "preemptions": outcome.preemptions,
        "restarts": tally.restarts,
        "gpu_h_lost": round(tally.lost / HOUR_GPU_MS, 6),
        "slo_attainment": _part(tally.met_slo, tally.with_slo),
        "cost": round(outcome.paid / HOUR_GPU_MS / MICRO, 6) if outcome.paid else None,
        "events": outcome.events,
        **{name: took[name] for name in MEASURED},
        "seed": seed,
        "input_sha256": sha256,
        "gpu_h_down": round(outcome.down / HOUR_GPU_MS, 6),
        "failures": outcome.failures,
    }


def _part(some: int, whole: int) -> float | None:
    return round(some / whole, 6) if whole else None


def _mean_s(values_ms: list[int]) -> float | None:
    return round(sum(values_ms) / len(values_ms) / 1000, 6) if values_ms else None


def quantile_s(ordered_ms: list[int], percent: int) -> float | None:
    """The percentile of ordered times in seconds, by linear interpolation; None of nothing."""
    if not ordered_ms:
        return None
    whole, part = divmod((len(ordered_ms) - 1) * percent, 100)
    low, high = ordered_ms[whole], ordered_ms[min(whole + 1, len(ordered_ms) - 1)]
    return (100 * low + (high - low) * part) / 100_000
