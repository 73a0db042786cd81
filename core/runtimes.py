"""How long a job will run: given by the user, learned from the like, or unknown."""

from aimass.core.cluster import Cluster
from aimass.core.model import Attempt, Job
from aimass.core.tallies import RunTime

UNKNOWN_MS = 365 * 24 * 3600 * 1000  # as Slurm treats a job without a time limit
LEARNED_MIN = 3  # runs before what was learned is believed
LEARNED_KEPT = 10_000  # keys; those longest without a run are forgotten
OVERRUN_MS = 60_000  # a job that should have ended is looked at again after this, or a tenth of it


def run_key(job: Job) -> str:
    """Runs of one user, job name and queue are alike."""
    return f"{job.user}/{job.spec.queue}/{job.spec.name}"


def run_estimate(cluster: Cluster, job: Job) -> tuple[int, int, bool]:
    """(run time in ms, its spread in ms, whether anybody knows). Given beats learned.

    A deadline bounds it: there the job is stopped.
    """
    run_ms, spread_ms, is_known = _estimate(cluster, job)
    if job.spec.deadline_ms:
        begin_ms = job.current.running_ms if job.state.is_active else 0
        left_ms = job.spec.deadline_ms + job.spec.grace_ms - (begin_ms or cluster.now_ms)
        if run_ms > left_ms:
            return max(1, left_ms), 0, True
    return run_ms, spread_ms, is_known


def open_run_ms(cluster: Cluster, job: Job) -> int:
    """For how long nodes must be open to the job so that it may start there, in ms.

    A preemptible job of unknown length may start before a window: it is stopped for it.
    """
    run_ms, _, is_known = run_estimate(cluster, job)
    return run_ms if is_known or not job.spec.preemptible else 1


def _estimate(cluster: Cluster, job: Job) -> tuple[int, int, bool]:
    if job.spec.run_ms:
        return job.spec.run_ms, 0, True
    learned = cluster.runtimes.get(run_key(job))
    if learned is not None and learned.count >= LEARNED_MIN:
        return max(1, learned.mean_ms + 2 * learned.spread_ms), learned.spread_ms, True
    return UNKNOWN_MS, 0, False


def expected_end_ms(cluster: Cluster, job: Job) -> tuple[int, bool]:
    """When the active job should end, never before now; and whether anybody knows.

    One that stops ends after its notice and grace, one at work after its estimate, at the latest at
    its limit and grace. One that has outlived that is expected to go on for a while, again and
    again: up to a tenth of its estimate, or a minute.
    """
    now_ms, attempt, spec = cluster.now_ms, job.current, job.spec
    if attempt.stop_goal is not None:
        end_ms = attempt.stopping_ms + attempt.notice_ms + attempt.grace_ms
        return _prolonged(end_ms, now_ms, OVERRUN_MS), True
    run_ms, _, is_known = run_estimate(cluster, job)
    begin_ms = attempt.running_ms or attempt.placed_ms
    done_ms = attempt.ran_ms if spec.elastic_role < 0 else 0  # before it was moved, and not lost
    end_ms = _prolonged(begin_ms + run_ms - done_ms, now_ms, max(OVERRUN_MS, run_ms // 10))
    if spec.walltime_ms:
        last_ms = begin_ms - attempt.ran_ms + spec.walltime_ms + spec.grace_ms
        last_ms = _prolonged(last_ms, now_ms, OVERRUN_MS)
        end_ms = min(end_ms, last_ms)
    return end_ms, is_known


def stop_ms(job: Job) -> int:
    """How long the job may take to stop."""
    spec = job.spec
    return spec.grace_ms + (spec.checkpoint.notice_ms if spec.checkpoint.signal else 0)


def _prolonged(end_ms: int, now_ms: int, step_ms: int) -> int:
    """The end, if it is not past; else the next time on a grid of step_ms, in whole OVERRUN_MS.

    "Any moment now" would have the scheduler look again every millisecond at a process that hangs.
    And the grid is the same for all: many that overrun are looked at once in a while, together.
    """
    if end_ms >= now_ms:
        return end_ms
    grid_ms = -(-step_ms // OVERRUN_MS) * OVERRUN_MS
    return -(-now_ms // grid_ms) * grid_ms


def learn(cluster: Cluster, job: Job, attempt: Attempt) -> None:
    """Remember how long the attempt that succeeded ran.

    One that went on from a checkpoint of an earlier attempt did only a part of the work: it teaches
    nothing.
    """
    if attempt.number > 1 and job.spec.checkpoint.signal:
        return
    run_ms = attempt.ended_ms - attempt.running_ms
    key = run_key(job)
    known = cluster.runtimes.get(key)
    if known is None:
        cluster.runtimes[key] = RunTime(1, run_ms, run_ms // 2)
        if len(cluster.runtimes) > LEARNED_KEPT:
            cluster.runtimes.popitem(last=False)
        return
    known.count += 1
    known.spread_ms += (abs(known.mean_ms - run_ms) - known.spread_ms) // 4
    known.mean_ms += (run_ms - known.mean_ms) // 8
    cluster.runtimes.move_to_end(key)
