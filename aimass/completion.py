"""Live names for the shell's Tab key: within 150 ms or nothing at all."""

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aimass.client import Client

BUDGET_S = 0.15


def job_ids(incomplete: str) -> list[str]:
    """Give ids of jobs that start with `incomplete`, the newest first."""
    return _names(
        incomplete,
        lambda client: ["@last", *(job.id for job in reversed(client.list(limit=200).jobs))],
    )


def node_ids(incomplete: str) -> list[str]:
    """Give ids of nodes that start with `incomplete`."""
    return _names(incomplete, lambda client: [node.id for node in client.nodes().nodes])


def queue_names(incomplete: str) -> list[str]:
    """Give names of queues that start with `incomplete`."""
    return _names(
        incomplete, lambda client: [queue.spec.name for queue in client.admin.queues().queues]
    )


def window_names(incomplete: str) -> list[str]:
    """Give names of reservations that start with `incomplete`."""
    return _names(
        incomplete, lambda client: [window.name for window in client.admin.windows().windows]
    )


def policy_names(incomplete: str) -> list[str]:
    """Give names of policies that go on with the last word of a list; no scheduler is asked."""
    from aimass.policies.described import POLICIES

    before, comma, word = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in POLICIES if name.startswith(word)]


def _names(incomplete: str, ask: "Callable[[Client], Iterable[str]]") -> list[str]:
    """Give what a scheduler answers; an empty list on any failure, without a word."""
    with contextlib.suppress(Exception):  # an error message would land in the middle of typing
        from aimass.client import Client

        with Client(timeout_s=BUDGET_S) as client:
            return [name for name in ask(client) if name.startswith(incomplete)]
    return []
