"""survey(cluster, job): how every node answers a job. listings say it in short, explain in full.

Both take the dominant reason from here, so that a listing and `why` cannot disagree.
"""

from collections import Counter
from dataclasses import dataclass

from aimass.core.cluster import Cluster
from aimass.core.feasible import Code, Refusal, shards_fit, shards_when_empty
from aimass.core.model import Job, Node
from aimass.core.plan import Wait
from aimass.core.spec import Role
from aimass.core.text import shards_text
from aimass.core.wants import locality_ends_ms
from aimass.core.words import in_text


@dataclass(frozen=True, slots=True)
class RoleFit:
    """How one role fares on all nodes, taken alone.

    now, empty: shards that fit beside what is held, and on idle nodes (both at most the role's).
    refused: (node, shards it has room for, what stops the next one) of nodes that cannot take all.
    """

    role: Role
    now: int
    empty: int
    refused: tuple[tuple[Node, int, Refusal], ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """All roles of a job; apart: why it does not start though each role alone fits now."""

    fits: tuple[RoleFit, ...]
    apart: Refusal

    @property
    def fit_now(self) -> int:
        """Shards that fit now, each role taken alone."""
        return sum(fit.now for fit in self.fits)

    @property
    def is_possible(self) -> bool:
        """False when even idle nodes could not hold some role."""
        return all(fit.empty >= fit.role.least for fit in self.fits)

    @property
    def code(self) -> str:
        """The dominant reason of a job that cannot start, as a stable word.

        When waiting can help, the most frequent reason that waiting can help with; when not, the
        most frequent one that it cannot.
        """
        short = [f for f in self.fits if (f.now if self.is_possible else f.empty) < f.role.least]
        if not short:
            return self.apart.code.value
        codes = Counter(
            refusal.code
            for fit in short
            for _, _, refusal in fit.refused
            if refusal.code.is_transient == self.is_possible
        )
        if not codes:
            return "NO_NODES" if not any(fit.refused for fit in self.fits) else "CLUSTER_TOO_SMALL"
        return min(codes, key=lambda code: (-codes[code], code.value)).value

    @property
    def text(self) -> str:
        """How many shards fit, in a few words."""
        if self.code == "NO_NODES":
            return "no node has joined"
        asked = sum(fit.role.shards for fit in self.fits)
        if all(fit.now >= fit.role.least for fit in self.fits):
            return self.apart.text
        return f"{self.fit_now} of {shards_text(asked)} {'fits' if asked == 1 else 'fit'} now"


def wait_reason(cluster: Cluster, wait: Wait, job: Job) -> tuple[str, str]:
    """(code, text) for a job of the group that waits. O(roles * nodes * devices)."""
    if wait.code:
        return wait.code, wait.text
    if wait.is_cut_short:
        return "SEARCH_LIMIT", "the search budget of one decision is spent"
    found = survey(cluster, job)
    return found.code, found.text


def survey(cluster: Cluster, job: Job) -> Survey:
    """Ask every node about every role. O(roles * nodes * devices)."""
    fits = tuple(_role_fit(cluster, job, role) for role in job.spec.roles)
    return Survey(fits, _apart(cluster, job))


def _apart(cluster: Cluster, job: Job) -> Refusal:
    """What keeps roles that fit alone from starting: a level of the topology, or each other."""
    topology = job.spec.topology
    left_ms = locality_ends_ms(job) - cluster.now_ms
    if topology.preferred and left_ms > 0:
        text = f"waits for room within one {topology.preferred}, takes any {in_text(left_ms)}"
        return Refusal(Code.LOCALITY_WAIT, text)
    if topology.required:
        text = f"fits now, but no one {topology.required} has room for all of it"
        return Refusal(Code.TOPOLOGY, text)
    return Refusal(Code.ROLES_TOGETHER, "each role fits now, but not all of them together")


def _role_fit(cluster: Cluster, job: Job, role: Role) -> RoleFit:
    now = empty = 0
    refused = []
    for node in cluster.nodes.values():
        fit, refusal = shards_fit(node, job, role.need, role.shards)
        now += fit
        if empty < role.shards:
            empty += shards_when_empty(node, job, role.need)
        if refusal is not None:
            refused.append((node, fit, refusal))
    return RoleFit(role, min(now, role.shards), min(empty, role.shards), tuple(refused))
