"""Does the simulator come to what happened? A journal's recorded run beside one in virtual time."""

import re
from dataclasses import dataclass

from aimass.core.model import JobId, JobState
from aimass.core.policy import Policy
from aimass.policies.registry import ALLOTTERS, ORDERS, PLACERS, make_policy
from aimass.simulator.clusters import Kinds
from aimass.simulator.counterfactual import again
from aimass.simulator.observed import Life, Observer, figures
from aimass.simulator.recorded import Recorded

GPU_MS_AN_HOUR = 3_600_000
_OPTION = re.compile(r"(promises|moves)=([0-9]+)|(move-budget)=([0-9.]+)gpuh")


@dataclass(frozen=True, slots=True)
class Deviation:
    """One job, live and simulated. by_ms: how much later it was over when simulated."""

    live: Life
    simulated: Life
    why: str

    @property
    def by_ms(self) -> int:
        return self.simulated.jct_ms - self.live.jct_ms


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of the jobs that ran and ended both times, and those jobs, the most different first.

    jobs: that ended live. only_live, only_simulated: ids of those that ended in one run alone.
    never_ran: of those that ran live and were not cancelled, those that never got places when
    simulated: they do not fit, or wait for ever.
    """

    live: dict[str, float | None]
    simulated: dict[str, float | None]
    jobs: int
    compared: int
    only_live: tuple[JobId, ...]
    only_simulated: tuple[JobId, ...]
    deviations: tuple[Deviation, ...]
    never_ran: tuple[JobId, ...]


def compare(
    recorded: Recorded, policy: Policy, kinds: Kinds | None = None, has_own_delays: bool = False
) -> Comparison:
    """Replay the journal, see counterfactual.again. Raises SimulationError."""
    live, simulated = recorded.seen, again(recorded, policy, kinds, has_own_delays)
    both = [job_id for job_id in live.lives if job_id in simulated.lives]
    held = [j for j in both if live.lives[j].attempts and simulated.lives[j].attempts]
    ran = {job_id for job_id, life in simulated.lives.items() if life.attempts}
    pairs = [(live.lives[job_id], simulated.lives[job_id]) for job_id in held]
    found = [Deviation(was, now, _why(was, now)) for was, now in pairs]
    found.sort(key=lambda deviation: -abs(deviation.by_ms))
    return Comparison(
        figures(live, held),
        figures(simulated, held),
        len(live.lives),
        len(held),
        tuple(job_id for job_id in live.lives if job_id not in simulated.lives),
        tuple(job_id for job_id in simulated.lives if job_id not in live.lives),
        tuple(found),
        tuple(job_id for job_id in live.lives if _is_due(live, job_id) and job_id not in ran),
    )


def _is_due(live: Observer, job_id: JobId) -> bool:
    """Whether it should run when simulated as well."""
    life = live.lives[job_id]
    return life.attempts > 0 and life.state is not JobState.CANCELLED


def _why(live: Life, simulated: Life) -> str:
    """What the largest part of the difference is, as far as it can be seen."""
    if live.state is not simulated.state:
        return f"{live.state.value} live, {simulated.state.value} simulated"
    if live.attempts != simulated.attempts:
        why = live.why if live.attempts > simulated.attempts else simulated.why
        return f"{live.attempts} attempts live, {simulated.attempts} simulated: {why}"
    worked = [life.held_ms - life.starting_ms - life.stopping_ms for life in (simulated, live)]
    parts = {
        "waited": simulated.wait_ms - live.wait_ms,
        "took to start": simulated.starting_ms - live.starting_ms,
        "took to stop": simulated.stopping_ms - live.stopping_ms,
        "worked": worked[0] - worked[1],
    }
    what, by_ms = max(parts.items(), key=lambda part: abs(part[1]))
    if not by_ms:
        return ""
    return f"{what} {abs(by_ms) / 1000:,.1f} s {'longer' if by_ms > 0 else 'less'} when simulated"


def recorded_policy(recorded: Recorded) -> tuple[str, Policy]:
    """The policy that made the journal's last plan, with its options, and its name.

    Raises ValueError when there is no plan, or this version does not know the policy.
    """
    fix = "name one with --policy"
    if not recorded.tags:
        raise ValueError(f"the journal holds no plan, so no policy; fix: {fix}")
    tag = recorded.tags[-1]
    names = [seam.partition("@")[0] for seam in tag.split(" ")[0].split("+")]
    if names[0] in ALLOTTERS:
        names = names[1:]  # its order has its name
    if len(names) < 2 or names[0] not in (*ORDERS, *ALLOTTERS) or names[1] not in PLACERS:
        raise ValueError(f"the journal's policy {tag!r} is not known here; fix: {fix}")
    options = {m[1] or m[3]: m[2] or m[4] for m in _OPTION.finditer(tag)}
    budget = options.get("move-budget")
    budget_gpu_ms = {"move_budget_gpu_ms": round(float(budget) * GPU_MS_AN_HOUR)} if budget else {}
    promises, moves = int(options.get("promises", 8)), int(options.get("moves", 0))
    return names[0], make_policy(names[0], names[1], promises, moves, **budget_gpu_ms)
