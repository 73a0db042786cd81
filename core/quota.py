"""What queues allow: limits, borrowing and lending, the firm rule, and who may take what back.

Lending follows the recursion that Kueue uses for its trees of cohorts: a queue draws first on what
it keeps for itself, then on what the queues above it have in stock, as far as it may borrow. A
resource that no queue of the cluster guarantees, lends or borrows is bounded by limits alone.
Amounts without "gpu:MODEL" are of GPUs whose model is not known yet.
"""

from collections.abc import Callable

from aimass.core.cluster import Cluster
from aimass.core.codes import Code, Refusal
from aimass.core.model import Job
from aimass.core.queues import ROOT, Amounts, Queue
from aimass.core.text import amount_text

Measure = Callable[[Queue, str], int]


def in_use(queue: Queue, key: str) -> int:
    """What is held now, also by those who are leaving."""
    return queue.used.get(key, 0)


MEASURES: tuple[Measure, ...] = (in_use, Queue.owned)


def quota_refusal(
    cluster: Cluster, job: Job, amounts: Amounts, is_soon: bool = False
) -> Refusal | None:
    """Why the queues do not let the job have these amounts beside what is in use; None: they do.

    is_soon: it claims them; what is leaving does not count. O(depth * resources), and the number of
    queues where quotas are kept from being lent or the job cannot be preempted.
    """
    queue = cluster.queues[job.spec.queue]
    measures = MEASURES[1:] if is_soon else MEASURES
    refusal = _limit_refusal(queue, job, amounts, measures, is_soon)
    root = cluster.queues[ROOT]
    ruled = root.tree.ruled
    if refusal is not None or not ruled:
        return refusal
    for key in ruled:
        amount = amounts.get(key, 0)
        if not amount:
            continue
        for measure in measures:
            if not is_lent(cluster, queue, key, amount, measure):
                return _lending_refusal(cluster, queue, key, amount, measure)
        if not job.spec.preemptible:
            refusal = _firm_refusal(cluster, queue, key, amount)
            if refusal is not None:
                return refusal
    return None


# ---- limits -------------------------------------------------------------------------------------


def max_jobs_refusal(queue: Queue, is_soon: bool = True) -> Refusal | None:
    """Why a queue takes no further job. is_soon: who is leaving for good does not count.

    O(depth).
    """
    for above in queue.tree.chain:
        most, active = above.spec.max_jobs, above.active - (above.stopping if is_soon else 0)
        if most and active >= most:
            text = f"queue {above.spec.name} has {active} active jobs, its most are {most}"
            return Refusal(Code.QUEUE_MAX_JOBS, text)
    return None


def _limit_refusal(
    queue: Queue, job: Job, amounts: Amounts, measures: tuple[Measure, ...], is_soon: bool
) -> Refusal | None:
    if not job.state.is_active:
        refusal = max_jobs_refusal(queue, is_soon)
        if refusal is not None:
            return refusal
    for above in queue.tree.chain:
        spec = above.spec
        for key, most in spec.job_limit.items():
            if amounts.get(key, 0) > most:
                asks, allows = amount_text(key, amounts[key]), amount_text(key, most)
                text = f"queue {spec.name} gives one job at most {allows}, this one asks {asks}"
                return Refusal(Code.QUEUE_LIMIT, text)
        for key, most in spec.limit.items():
            amount = amounts.get(key, 0)
            if not amount:
                continue
            used = max(measure(above, key) for measure in measures)
            if used + amount > most:
                text = (
                    f"queue {spec.name} uses {amount_text(key, used)} of its limit of "
                    f"{amount_text(key, most)}, the job asks {amount_text(key, amount)}"
                )
                return Refusal(Code.QUEUE_LIMIT, text)
    return None


# ---- borrowing and lending ----------------------------------------------------------------------


def is_lent(cluster: Cluster, queue: Queue, key: str, amount: int, measure: Measure) -> bool:
    """True when quotas leave the queue so much more of a ruled resource. O(depth) or O(queues).

    What there would not be even without quotas is for the nodes to refuse: they know until when.
    """
    capacity = cluster.index.totals.with_failed(key)
    lacking = max(0, measure(cluster.queues[ROOT], key) + amount - capacity)
    return amount - lacking <= available(cluster, queue, key, measure)


def available(cluster: Cluster, queue: Queue, key: str, measure: Measure) -> int:
    """How much more of a ruled resource the queue could use, by quotas alone. Never negative.

    O(depth), and O(queues) where some keep a part of their quota.
    """
    return max(0, _available(cluster, queue, key, measure))


def _available(cluster: Cluster, queue: Queue, key: str, measure: Measure) -> int:
    tree = queue.tree
    drawn = _drawn(queue, key, measure)
    if len(tree.chain) == 1:
        return _pool(cluster, queue, key) - drawn
    kept = tree.kept.get(key, 0)
    above = _available(cluster, tree.chain[1], key, measure)
    most = queue.spec.borrow_limit.get(key)
    if most is not None:
        above = min(above, tree.stock.get(key, 0) - kept + most - max(0, drawn - kept))
    return max(0, kept - drawn) + above


def _pool(cluster: Cluster, root: Queue, key: str) -> int:
    """What all can draw on: every quota that is lent, and capacity beyond all quotas."""
    capacity = cluster.index.totals.amounts().get(key, 0)
    beyond = max(0, capacity - root.tree.guarantee.get(key, 0))
    return root.tree.stock.get(key, 0) + beyond


def _drawn(queue: Queue, key: str, measure: Measure) -> int:
    """What is in use, less what queues below take of what they keep for themselves."""
    total = measure(queue, key)
    if queue.tree.keeps:
        for child in queue.tree.children:
            if child.tree.keeps:
                theirs = max(0, _drawn(child, key, measure) - child.tree.kept.get(key, 0))
                total -= measure(child, key) - theirs
    return total


def _lending_refusal(
    cluster: Cluster, queue: Queue, key: str, amount: int, measure: Measure
) -> Refusal:
    """Who is in the way: the first queue that may not borrow so much, or else those who lend."""
    asks = amount_text(key, amount)
    for above in queue.tree.chain[:-1]:
        tree, most = above.tree, above.spec.borrow_limit.get(key)
        drawn = _drawn(above, key, measure)
        stock = tree.stock.get(key, 0)
        if most is not None and drawn + amount > stock + most:
            text = (
                f"queue {above.spec.name} uses {amount_text(key, measure(above, key))}, has "
                f"a quota of {amount_text(key, tree.guarantee.get(key, 0))} and may borrow "
                f"{amount_text(key, most)}; the job asks {asks}"
            )
            return Refusal(Code.QUOTA_BORROW, text)
    left = available(cluster, queue, key, measure)
    keepers = [q.spec.name for q in cluster.queues.values() if q.tree.kept.get(key)]
    whose = f"what {', '.join(keepers[:3])} guarantee and do not use is not lent further"
    text = f"queue {queue.spec.name} can have {amount_text(key, left)} more, the job asks {asks}"
    return Refusal(Code.QUOTA_LENT, f"{text}; {whose}" if keepers else text)


# ---- jobs that cannot be preempted --------------------------------------------------------------


def in_firm(queue: Queue, key: str) -> int:
    """What jobs have, and will keep or get, that cannot be preempted."""
    return queue.firm.get(key, 0)


def is_beyond_firm(
    cluster: Cluster, queue: Queue, key: str, amount: int, firm: Measure = in_firm
) -> bool:
    """True when one more such job would keep others from what they are guaranteed. O(queues)."""
    chain = queue.tree.chain
    root = chain[-1]
    if not root.tree.guarantee.get(key):
        return False
    spare = 0
    if key.startswith("gpu:") and any("gpu" in q.tree.named for q in chain):
        # Its guarantee is for GPUs of any model: of this one, what nobody is promised by name.
        capacity = cluster.index.totals.amounts().get(key, 0)
        spare = max(0, capacity - root.tree.guarantee.get(key, 0))
    return _firm_beyond(root, key, queue, amount, firm) > spare


def _firm_refusal(cluster: Cluster, queue: Queue, key: str, amount: int) -> Refusal | None:
    """A job that cannot be preempted stays within guarantees, or others could not have theirs."""
    if not is_beyond_firm(cluster, queue, key, amount):
        return None
    text = (
        f"a job that cannot be preempted stays within what its queue is guaranteed: "
        f"{amount_text(key, queue.tree.guarantee.get(key, 0))} in queue {queue.spec.name}, where "
        f"such jobs have {amount_text(key, queue.firm.get(key, 0))}; "
        f"this one asks {amount_text(key, amount)}"
    )
    return Refusal(Code.QUOTA_FIRM, text)


def _firm_beyond(queue: Queue, key: str, asking: Queue, amount: int, measure: Measure) -> int:
    """What firm jobs would use beyond the guarantees of the queue and those below it. O(queues)."""
    firm, beyond = measure(queue, key), 0
    if not firm and not any(queue is above for above in asking.tree.chain):
        return 0
    for child in queue.tree.children:
        beyond += _firm_beyond(child, key, asking, amount, measure)
        firm -= measure(child, key)
    own = firm + (amount if queue is asking else 0)
    return max(0, beyond + own - queue.tree.own.get(key, 0))


def firm_rivals(cluster: Cluster, job: Job, amounts: Amounts) -> set[str]:
    """Queues where the end of a job that cannot be preempted would bring this one nearer a start.

    Of a job that the firm rule turns away: its own queue, those above, and each that draws on what
    a queue above both is guaranteed. O(queues² * resources).
    """
    asking = cluster.queues[job.spec.queue]
    return {
        other.spec.name
        for key, amount in amounts.items()
        if amount and is_beyond_firm(cluster, asking, key, amount)
        for other in cluster.queues.values()
        if all(
            queue in asking.tree.chain or _firm_beyond(queue, key, asking, 0, in_firm)
            for queue in other.tree.chain
        )
    }


# ---- guarantees and reclaim ---------------------------------------------------------------------


def is_guaranteed(cluster: Cluster, job: Job, amounts: Amounts) -> bool:
    """Whether the job would stay within the guarantee of its queue, or of one above it below ROOT.

    Then it may take back from others what they borrowed: see may_reclaim. O(depth * resources).
    """
    chain = cluster.queues[job.spec.queue].tree.chain
    return any(within_guarantee(queue, amounts) for queue in chain[:-1])


def within_guarantee(
    queue: Queue, amounts: Amounts, direct: bool = False, owned: Measure = Queue.owned
) -> bool:
    """Whether the queue, given these amounts too, would use no more than it is guaranteed.

    Some quota must cover what the job is mainly about: its GPUs, of their model or of any; without
    GPUs its CPU, and without CPU its memory. direct: only the queue's own quota and its own jobs.
    """
    tree = queue.tree
    guarantee = tree.own if direct else tree.guarantee
    named = queue.spec.quota if direct else tree.named
    for key, amount in amounts.items():
        if amount and key in guarantee:
            used = direct_use(queue, key, owned) if direct else owned(queue, key)
            if used + amount > guarantee[key]:
                return False
    if amounts.get("gpu"):
        models = [key for key, amount in amounts.items() if amount and key.startswith("gpu:")]
        return "gpu" in named or (bool(models) and all(key in named for key in models))
    return ("cpu" if amounts.get("cpu") else "memory") in named


def direct_use(queue: Queue, key: str, owned: Measure = Queue.owned) -> int:
    """What jobs of this very queue own. O(children)."""
    return owned(queue, key) - sum(owned(child, key) for child in queue.tree.children)


def may_reclaim(
    cluster: Cluster,
    job: Job,
    amounts: Amounts,
    victim: str,
    ours_owned: Measure = Queue.owned,
    theirs_owned: Measure = Queue.owned,
) -> bool:
    """Whether the job may take back what jobs of the queue `victim` use beyond its guarantee.

    Below the queue that both are in, the job's branch would stay within its guarantee and the
    victim's uses more than its own of something that the job needs; every queue on both ways allows
    reclaim. ours_owned, theirs_owned: how much the one and the other use. O(depth * resources).
    """
    ours, theirs = cluster.queues[job.spec.queue].tree.chain, cluster.queues[victim].tree.chain
    if ours[0] is theirs[0]:
        return False
    common = 0
    while common < min(len(ours), len(theirs)) and ours[-1 - common] is theirs[-1 - common]:
        common += 1
    our_way, their_way = ours[: len(ours) - common], theirs[: len(theirs) - common]
    if not all(queue.spec.reclaim for queue in (*our_way, *their_way)):
        return False
    top = ours[-common]
    ours_direct, theirs_direct = not our_way, not their_way
    if not within_guarantee(our_way[-1] if our_way else top, amounts, ours_direct, ours_owned):
        return False
    branch = their_way[-1] if their_way else top
    guarantee = branch.tree.own if theirs_direct else branch.tree.guarantee
    models = [key for key, amount in amounts.items() if amount and key.startswith("gpu:")]
    by_name = bool(models) and all(key in branch.tree.named for key in models)
    for key, amount in amounts.items():
        if key == "gpu" and by_name:
            continue  # of other models they may use more than is theirs
        if amount and key in cluster.queues[ROOT].tree.ruled:
            used = (
                direct_use(branch, key, theirs_owned)
                if theirs_direct
                else theirs_owned(branch, key)
            )
            if used > guarantee.get(key, 0):
                return True
    return False
