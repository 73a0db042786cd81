"""How scenarios say what was decided: plans, places and desired sets, a line each."""

from aimass.core.cluster import Cluster
from aimass.core.effects import Assignment
from aimass.core.explain import Explanation
from aimass.core.forecast import Outlook
from aimass.core.holders import Holder
from aimass.core.model import JobId, Placement
from aimass.core.plan import Claim, Plan, Planned, Wait
from aimass.core.queues import Amounts, Queue
from aimass.core.spec import WHOLE_GPU_MILLI, Role
from aimass.core.survey import wait_reason
from tests.core.scenario_words import clock_text


def plan_lines(cluster: Cluster, plan: Plan) -> list[str]:
    """All that the plan does, in the order in which it is applied; not who waits."""
    lines = [f"unclaim {job_id}" for job_id in plan.unclaims]
    for stop in plan.stops:
        gainer = f" for {stop.by}" if stop.by else ""
        lost = f", {stop.lost_gpu_ms / 3_600_000:.2g} GPU-hours lost" if stop.lost_gpu_ms else ""
        lines.append(f"stop {stop.job_id} ({stop.rule.value}{gainer}{lost}): {stop.reason}")
    lines += [claim_text(cluster, claim) for claim in plan.claims]
    for start in plan.starts:
        again = f" attempt {start.attempt}" if start.attempt > 1 else ""
        where = places_text(cluster, start.job_id, start.placements)
        lines.append(f"start {start.job_id}{again} on {where}")
    lines += [promise_text(cluster, planned) for planned in plan.planned]
    return lines + [f"promise to {job_id} ends" for job_id in plan.unplanned]


def claim_text(cluster: Cluster, claim: Claim) -> str:
    """`claim j3 on n1[0 1] when j1 has left`."""
    where = places_text(cluster, claim.job_id, claim.placements)
    verb = "have" if len(claim.victims) > 1 else "has"
    whom = f"{' '.join(claim.victims)} {verb}" if claim.victims else "who stops there has"
    return f"claim {claim.job_id} on {where} when {whom} left"


def promise_text(cluster: Cluster, planned: Planned) -> str:
    """`promise j4 at 1h30m on n1[0 1]`; some day, when it rests on run times that nobody gave."""
    when = f"at {clock_text(planned.start_ms)}" if planned.is_known else "some day"
    where = places_text(cluster, planned.job_id, planned.placements)
    return f"promise {planned.job_id} {when} on {where}"


def wait_line(cluster: Cluster, wait: Wait) -> str:
    """The reason as a listing shows it."""
    code, text = wait_reason(cluster, wait, cluster.jobs[wait.first])
    return f"wait {wait.first}: {code}: {text}"


def why_lines(found: Explanation, now_ms: int) -> list[str]:
    """The whole explanation."""
    kind = f" ({found.kind})" if found.kind else ""
    lines = [f"{found.code}{kind}: {found.summary}"]
    for blocker in found.blockers:
        where = " ".join(blocker.examples) + (" ..." if blocker.nodes > 3 else "")
        count = f"{blocker.nodes} x " if blocker.nodes else ""
        lines.append(f"  {count}{blocker.code}: {blocker.text}" + (f" ({where})" if where else ""))
    lines += [f"  held by {holder_text(holder)}" for holder in found.holders]
    lines += [f"  ahead {found.ahead}"] if found.ahead else []
    lines += [f"  starts {text}" for text in outlook_texts(found.start)]
    for change in found.changes:
        lines.append(f"  now {change.text}: {change.command}")
        for stop in change.stops:
            lost = f", {stop.lost_gpu_ms / 3_600_000:.2g} GPU-hours lost"
            lines.append(f"    stops {stop.job_id} ({stop.rule.value}{lost})")
    return lines + [f"  fix: {way}" for way in found.unblock]


def holder_text(holder: Holder) -> str:
    """`j1 (ann, 4 GPUs) until 2h`."""
    until = f"until {clock_text(holder.end_ms)}" if holder.is_known else "nobody knows how long"
    leaving = ", leaving" if holder.is_leaving else ""
    return f"{holder.job_id} ({holder.user}, {holder.gpu_milli / 1000:g} GPUs{leaving}) {until}"


def outlook_texts(start: Outlook) -> list[str]:
    """What is known of a start."""
    if start.at_ms and start.is_promise:
        return [f"at {clock_text(start.at_ms)} at the latest: it is promised"]
    if start.at_ms:
        return [f"at {clock_text(start.at_ms)}"]
    if start.is_promise:
        return ["when those who hold its promised places end, and nobody knows when"]
    return [f"not before {clock_text(start.after_ms)}"] if start.after_ms else []


def queue_text(queue: Queue) -> str:
    """What a queue's jobs hold, of what, and how many there are."""
    spec = queue.spec
    parts = [f"uses {amounts_text(queue.used)}"]
    parts += [f"quota {amounts_text(spec.quota)}"] if spec.quota else []
    parts += [f"limit {amounts_text(spec.limit)}"] if spec.limit else []
    return f"{spec.name}: {', '.join(parts)}; {queue.active} active, {queue.queued} queued"


def amounts_text(amounts: Amounts) -> str:
    """`gpu 4 cpu 8 memory 1024MiB`; nothing when there is none."""
    parts = [
        f"{key} {amount}MiB" if key == "memory" else f"{key} {amount / 1000:g}"
        for key, amount in amounts.items()
        if amount
    ]
    return " ".join(parts) or "nothing"


def places_text(cluster: Cluster, job_id: JobId, placements: tuple[Placement, ...]) -> str:
    """Where the shards of a job lie."""
    roles = cluster.jobs[job_id].spec.roles
    return ", ".join(place_text(p, roles) for p in placements)


def place_text(placement: Placement, roles: tuple[Role, ...]) -> str:
    """`n1[0 1]`, `n1[0]x0.25` for a share, `ps:n1` when there are several roles."""
    role = f"{roles[placement.role].name}:" if len(roles) > 1 else ""
    devices = f"[{' '.join(map(str, placement.devices))}]" if placement.devices else ""
    share = placement.share_milli
    part = f"x{share / 1000:g}" if 0 < share < WHOLE_GPU_MILLI else ""
    return f"{role}{placement.node_id}{devices}{part}"


def assignment_text(found: Assignment) -> str:
    """One shard of a desired set on one line."""
    shard = f"{found.job_id}.{found.attempt}.{found.rank}"
    if found.stop:
        notice = f"{found.notice_signal}, {found.notice_ms / 1000:g} s, then "
        first = notice if found.notice_ms else ""
        return f"{shard} {first}stop within {found.grace_ms / 1000:g} s: {found.stop_reason}"
    launch = found.launch
    if launch is None:
        return f"{shard} runs"
    return (
        f"{shard} run gpus {_short(launch.device_uuids)} visible {_short(launch.visible_uuids)}"
        f" local {launch.local_rank}/{launch.local_world_size}"
        f" group {launch.group_rank}/{launch.group_world_size} role rank {launch.role_rank}"
        f" master {launch.master_addr}:{launch.master_port}"
    )


def _short(uuids: tuple[str, ...]) -> str:
    return ",".join(uuid.rsplit("-", 1)[1] for uuid in uuids) or "none"
