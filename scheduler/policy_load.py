"""The policy that the command line names, ready to decide: what it needs is there, and compiled."""

import importlib.util
import time

import structlog

from aimass.core.policy import Policy
from aimass.policies.pack_cache import keep_compiled
from aimass.policies.registry import make_policy
from aimass.scheduler.errors import StartError

log = structlog.get_logger()


def load_policy(order: str, place: str, **options: int) -> Policy:
    """The policy of these names; options: see make_policy. Raises StartError for want of NumPy."""
    if place != "mass":
        return make_policy(order, place, **options)
    keep_compiled()
    try:
        policy = make_policy(order, place, **options)
    except ImportError as error:
        raise StartError(
            f"--place mass needs NumPy: {error}",
            "pip install 'aimass[fast]', or start without --place mass",
        ) from error
    _warm_up()
    return policy


def _warm_up() -> None:
    """Compile before anybody waits for a decision."""
    from aimass.policies.pack_mirror import warm_up

    if importlib.util.find_spec("numba") is None:
        log.warning(
            "numba is not installed: a placement takes milliseconds",
            fix="pip install 'aimass[fast]'",
        )
        return
    began = time.monotonic()
    warm_up()
    log.info("kernels of mass ready", seconds=round(time.monotonic() - began, 2))
