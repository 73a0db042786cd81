"""Decisions behind a fence: a policy that raises, never ends or returns nonsense stops nobody.

The built-in policy decides in its place, and the configured one is tried again after a while. What
a policy does cannot break the cluster: check() proves every plan, whoever made it.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

from aimass.core.check import Rejection, check
from aimass.core.cluster import Cluster, GroupKey
from aimass.core.decider import Decider
from aimass.core.plan import Plan, Wait
from aimass.core.policy import Policy

log = structlog.get_logger()

RETRY_EVERY_S = 60.0
STUCK_S = 20.0  # of one decision: fuel ends an honest search long before
REJECTIONS_LOGGED = 10


class StuckError(Exception):
    """A decision was broken off in the middle: the cluster in memory is half changed."""


class Decisions:
    """What decides: the configured policy, and the built-in one in its place.

    problem: why the fall-back decides now; empty: it does not. rejected: parts of plans that were
    refused; fallbacks: decisions that the configured policy failed to make; both since the start.
    """

    def __init__(
        self,
        policy: Policy,
        fallback: Policy,
        retry_every_s: float = RETRY_EVERY_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        self.policy = policy
        self.problem = ""
        self.rejected = 0
        self.fallbacks = 0
        self._configured = Decider(policy)
        self._fallback = Decider(fallback)
        self._retry_every_s = retry_every_s
        self._stuck_s = stuck_s
        self._retry_at_s = 0.0
        self._last = Plan(0, "")  # the newest decision, as it was accepted
        self._waits: dict[GroupKey, Wait] | None = None

    @property
    def last(self) -> Plan:
        """The newest decision, as far as it was accepted."""
        return self._last

    @property
    def waits(self) -> dict[GroupKey, Wait]:
        """Which groups wait and why, by the newest decision. O(groups) once for each."""
        if self._waits is None:
            self._waits = {wait.group: wait for wait in self._last.waits}
        return self._waits

    @property
    def _is_out(self) -> bool:
        """True while the configured policy is left alone after a failure."""
        return bool(self.problem) and time.monotonic() < self._retry_at_s

    @property
    def deciding(self) -> Policy:
        """Whoever decides now: the built-in policy while the configured one fails."""
        return (self._fallback if self.problem else self._configured).policy

    def forget(self) -> None:
        """The cluster was replaced: nothing decided before says anything of it."""
        self._configured.forget()
        self._fallback.forget()
        self._last, self._waits = Plan(0, ""), None

    def decide(self, cluster: Cluster) -> Plan:
        """The plan to carry out, proved. Raises StuckError when the policy had to be broken off.

        An empty one when the built-in policy fails as well: a bug of ours, and it is logged.
        """
        plan = None if self._is_out else self._try(self._configured, cluster, is_configured=True)
        if plan is None:
            self.fallbacks += 1
            plan = self._try(self._fallback, cluster, is_configured=False)
        elif self.problem:
            log.info("the policy decides again", policy=self.policy.tag, after=self.problem)
            self.problem = ""
        self._last, self._waits = plan or Plan(cluster.revision, ""), None
        return self._last

    def _try(self, decider: Decider, cluster: Cluster, is_configured: bool) -> Plan | None:
        """One decider's plan as far as it is proved; None when it failed.

        Of the built-in policy what is proved is carried out, even when the rest was rejected.
        """
        try:
            with _time_limit(self._stuck_s):
                plan, rejections = check(cluster, decider.decide(cluster))
        except StuckError:
            self._blame(decider, f"it did not end within {self._stuck_s:g} s", is_configured)
            raise
        except Exception as error:
            # A policy's code is not ours: nothing that it raises may end the daemon.
            log.exception("decision failed", policy=decider.policy.tag, error=repr(error))
            self._blame(decider, f"it raised {error!r}"[:500], is_configured)
            return None
        if not rejections:
            return plan
        self._log(decider, rejections)
        self._blame(decider, _said(rejections), is_configured)
        return None if is_configured else plan

    def _blame(self, decider: Decider, problem: str, is_configured: bool) -> None:
        decider.forget()
        if is_configured:
            self.problem = f"{decider.policy.tag}: {problem}"
            self._retry_at_s = time.monotonic() + self._retry_every_s
            log.error("the built-in policy decides", because=self.problem)

    def _log(self, decider: Decider, rejections: tuple[Rejection, ...]) -> None:
        self.rejected += len(rejections)
        for rejection in rejections[:REJECTIONS_LOGGED]:
            log.error(
                "plan rejected",
                policy=decider.policy.tag,
                job=rejection.job_id,
                reason=rejection.reason,
            )


def _said(rejections: tuple[Rejection, ...]) -> str:
    first, more = rejections[0], len(rejections) - 1
    also = f" and {more} more" if more else ""
    return f"its plan was rejected: {first.job_id}: {first.reason}{also}"[:500]


@contextmanager
def _time_limit(limit_s: float) -> Iterator[None]:
    """Break off what runs too long with StuckError; the main thread only, where signals arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_deciding = True

    def on_alarm(number: int, frame: FrameType | None) -> None:
        if is_deciding:
            raise StuckError

    before = signal.signal(signal.SIGALRM, on_alarm)
    left_s, every_s = signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        is_deciding = False
        signal.setitimer(signal.ITIMER_REAL, left_s, every_s)  # somebody else's goes on
        signal.signal(signal.SIGALRM, before)
