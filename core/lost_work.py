"""What a stop costs: the work that it throws away, and the restart."""

from aimass.core.model import Job, Placement

# From the launch of a program until it is where its last attempt was: loading, compiling, reading.
RESTART_MS = 60_000


def held_milli(placements: tuple[Placement, ...]) -> int:
    """Milli-GPU that these places hold. O(shards)."""
    held = 0
    for placement in placements:
        held += placement.share_milli * len(placement.devices)
    return held


def lost_gpu_ms(job: Job, now_ms: int) -> int:
    """GPU-milliseconds of the running attempt since its last checkpoint; 0 before it runs."""
    return lost_ms(job, now_ms) * held_milli(job.current.placements) // 1000


def lost_ms(job: Job, now_ms: int) -> int:
    """Of every GPU that the job holds, the time that a stop would throw away."""
    attempt = job.current
    since_ms, running_ms = attempt.checkpoint_ms, attempt.running_ms
    if not running_ms:
        return 0
    if since_ms < running_ms:
        since_ms = running_ms
    return now_ms - since_ms if now_ms > since_ms else 0


def restart_gpu_ms(job: Job) -> int:
    """GPU-milliseconds from its next start until the active job is where it was when it stopped.

    An elastic job says how long that takes; of another it is taken to be as long as its present
    attempt took from its placement until every shard ran, and RESTART_MS more.
    """
    attempt = job.current
    restart_ms = max(0, attempt.running_ms - attempt.placed_ms) + RESTART_MS
    for role in job.spec.roles:
        if role.elastic is not None:
            restart_ms = role.elastic.cost_ms
    return restart_ms * held_milli(attempt.placements) // 1000
