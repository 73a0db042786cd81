"""lost_gpu_ms(job, now_ms): the work that a stop would throw away."""

from aimass.core.model import Job, Placement


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
