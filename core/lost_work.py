"""lost_gpu_ms(job, now_ms): the work that a stop would throw away."""

from aimass.core.model import Job


def lost_gpu_ms(job: Job, now_ms: int) -> int:
    """GPU-milliseconds of the running attempt since its last checkpoint; 0 before it runs."""
    attempt = job.current
    since_ms = max(attempt.running_ms, attempt.checkpoint_ms)
    if not attempt.running_ms:
        return 0
    gpu_milli = sum(p.share_milli * len(p.devices) for p in attempt.placements)
    return max(0, now_ms - since_ms) * gpu_milli // 1000
