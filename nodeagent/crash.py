"""Named places where a test can make the agent die as if by SIGKILL or a lost machine."""

import os

CRASH_POINTS = (
    "agent-before-intent",
    "agent-after-intent",
    "agent-after-spawn",
    "agent-before-report",
)

# Passed only for rank 0 of several shards.
GANG_CRASH_POINTS = ("agent-before-port",)

# Passed only for a shard that is stopped with a notice, or that completes a checkpoint.
NOTICE_CRASH_POINTS = ("agent-after-notice", "agent-before-checkpoint-report")

_passed: dict[str, int] = {}


def crash_point(name: str) -> None:
    """End this process at once when AIMASS_CRASH_AT is NAME or NAME:N, at the N-th passage (1)."""
    known = CRASH_POINTS + GANG_CRASH_POINTS + NOTICE_CRASH_POINTS
    assert name in known, f"{name} is not listed"
    wanted, _, count = os.environ.get("AIMASS_CRASH_AT", "").partition(":")
    if wanted == name:
        _passed[name] = _passed.get(name, 0) + 1
        if _passed[name] >= int(count or 1):
            os._exit(137)
