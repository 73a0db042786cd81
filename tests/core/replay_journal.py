"""Replay a recorded journal and print what follows from it, for tests/core/test_golden_journals.

    python -m tests.core.replay_journal tests/golden/journals/NAME.jsonl

Prints the revision, the state hash, and a hash of everything that is derived from the state: the
plans of every policy, every explanation and every desired set.
"""

import sys
from hashlib import blake2b
from pathlib import Path

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.codec import decode_events, state_hash
from aimass.core.decide import decide
from aimass.core.effects import effects
from aimass.core.explain import explain
from aimass.core.invariants import check_invariants
from aimass.policies.registry import ORDERS, PLACERS, make_policy


def replay_file(path: Path) -> Cluster:
    """The state that a recorded journal folds to."""
    cluster = Cluster()
    for line in path.read_bytes().splitlines():
        for event in decode_events(line):
            apply(cluster, event)
    return cluster


def derived(cluster: Cluster) -> str:
    """Everything that the state implies, as one text."""
    policies = [make_policy(order, place) for order in sorted(ORDERS) for place in sorted(PLACERS)]
    parts: list[object] = [decide(cluster, policy) for policy in policies]
    parts += [effects(cluster, node) for node in cluster.nodes.values()]
    parts += [explain(cluster, job, policies[0]) for job in cluster.jobs.values()]
    return "\n".join(map(repr, parts))


def report(path: Path) -> str:
    """Revision, state hash, and a hash of what is derived; one line each."""
    cluster = replay_file(path)
    check_invariants(cluster)
    digest = blake2b(derived(cluster).encode(), digest_size=16).hexdigest()
    return f"revision {cluster.revision}\nstate {state_hash(cluster)}\nderived {digest}\n"


if __name__ == "__main__":
    print(report(Path(sys.argv[1])), end="")
