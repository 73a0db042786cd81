"""Kernels over the nodes: scores of one shape kept up to date, and which node is best."""

import numpy as np

from aimass.policies.pack_jit import jit
from aimass.policies.pack_live import Live
from aimass.policies.pack_mass import mass_terms
from aimass.policies.pack_mix import Mix
from aimass.policies.pack_published import best_fit, clustering, dot_product, fgd, packing
from aimass.policies.pack_room import NO_DEVICE, fits, tightest
from aimass.policies.pack_state import DEVICES, Array, Ask, Nodes

NEVER = -(1 << 31)  # the score of a node that cannot take the pod
BLOCK = 256  # nodes that share a maximum
TWINS = 1 << 12  # places to find an equal node by

RANDOM, DOT_PRODUCT, CLUSTERING, PACKING, BEST_FIT, FGD, MASS = range(7)


@jit
def is_twin(policy: int, nodes: Nodes, one: int, other: int) -> bool:
    """Say whether two nodes cannot differ in any score: then one evaluation serves both."""
    if (
        nodes.state[one] != nodes.state[other]
        or nodes.cpu_free[one] != nodes.cpu_free[other]
        or nodes.memory_free[one] != nodes.memory_free[other]
        or nodes.model[one] != nodes.model[other]
        or nodes.gpus[one] != nodes.gpus[other]
        or nodes.is_there[one] != nodes.is_there[other]
    ):
        return False
    for device in range(DEVICES):
        if nodes.gpu_free[one, device] != nodes.gpu_free[other, device]:
            return False
    if policy == CLUSTERING:
        for tag in range(DEVICES + 1):
            if (nodes.tags[one, tag] > 0) != (nodes.tags[other, tag] > 0):
                return False
    return True


@jit
def score_of(
    policy: int, mix: Mix, live: Live, nodes: Nodes, node: int, ask: Ask
) -> tuple[int, int]:
    """Give the score for a pod of a node that it fits on, and the device of a share."""
    if policy == MASS:
        fragments, room, stranded, kind, gangs, device = mass_terms(mix, live, nodes, node, ask)
        return fragments + room + stranded + kind + gangs, device
    if policy == FGD:
        return fgd(mix, nodes, node, ask)
    score = 0
    if policy == DOT_PRODUCT:
        score = dot_product(nodes, node, ask)
    elif policy == CLUSTERING:
        score = clustering(nodes, node, ask)
    elif policy == PACKING:
        score = packing(nodes, node, ask)
    elif policy == BEST_FIT:
        score = best_fit(nodes, node, ask)
    if ask.gpus == 1:
        return score, tightest(nodes, node, ask.gpu_milli)
    return score, NO_DEVICE


@jit
def rescore(
    policy: int,
    mix: Mix,
    live: Live,
    nodes: Nodes,
    ask: Ask,
    touched: Array,
    seen: Array,
    twins: Array,
    stamp: int,
    scores: Array,
    devices: Array,
    block_best: Array,
) -> None:
    """Bring the scores of one shape up to date for the nodes that were touched, repeats allowed.

    seen: scratch, [nodes]; stamp: larger than anything in it; twins: scratch, [TWINS]. O(touched),
    of which equal nodes share one evaluation, and the nodes of a block where its best got worse.
    """
    blocks = block_best.shape[0]
    is_worse = np.zeros(blocks, np.bool_)
    for node in touched:
        if seen[node] == stamp:
            continue
        seen[node] = stamp
        score, device = NEVER, NO_DEVICE
        if fits(nodes, node, ask):
            place = nodes.state[node] % TWINS
            twin = twins[place]
            if seen[twin] == stamp and twin != node and is_twin(policy, nodes, twin, node):
                score, device = scores[twin], devices[twin]
            else:
                score, device = score_of(policy, mix, live, nodes, node, ask)
                twins[place] = node
        old = scores[node]
        scores[node] = score
        devices[node] = device
        block = node // BLOCK
        if score >= block_best[block]:
            block_best[block] = score
        elif old == block_best[block]:
            is_worse[block] = True
    for block in range(blocks):
        if is_worse[block]:
            block_best[block] = scores[block * BLOCK : (block + 1) * BLOCK].max()


@jit
def first_best(scores: Array, block_best: Array) -> int:
    """Give the first node of the best score; -1 when none can take the pod. O(blocks)."""
    block = block_best.argmax()
    if block_best[block] == NEVER:
        return -1
    found: int = block * BLOCK + scores[block * BLOCK : (block + 1) * BLOCK].argmax()
    return found


@jit
def first_allowed(scores: Array, block_best: Array, is_allowed: Array) -> int:
    """Give the same among the nodes that are allowed; -1 for none. O(nodes) at worst."""
    best, found = NEVER, -1
    for block in range(block_best.shape[0]):
        if block_best[block] > best:
            for node in range(block * BLOCK, min((block + 1) * BLOCK, scores.shape[0])):
                if scores[node] > best and is_allowed[node]:
                    best, found = scores[node], node
    return found
