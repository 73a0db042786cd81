"""ElasticFlow (Gu et al., ASPLOS 2023): meet deadlines with the fewest GPUs, then share the rest.

Jobs that are due are taken in, the earlier submitted first, as long as all that were taken in can
still be over in time: by due time, each gets the smallest size that is enough, in the time and the
GPUs that those before it leave. Who cannot be over in time runs behind these, as do jobs that are
never due. What is spare now goes where a GPU costs least GPU time. See profile in allot_profile.
"""

from aimass.core.policy import Fuel
from aimass.policies.allot_profile import Profile
from aimass.policies.allot_view import UNKNOWN, Held, LiveJob, View
from aimass.policies.allotter import Allotter, Choice, Chosen
from aimass.policies.optimus import Steps, keep_where_it_pays, smallest, work_left_ms

# Of what a restart costs, as much again for what nobody foresees: with no margin at all a job that
# is restarted once more than planned is late (policies.md of the published artifact: 129 of 136).
MARGIN_RESTARTS = 2
# Pieces looked at in taking in, about 2 s: of 600 due jobs with deadlines of their own some 300 get
# so far, the others count as never due. Not of the decision's fuel, or nothing would be placed.
TAKE_IN_FUEL = 4_000_000


class ElasticFlow(Allotter):
    """Minimum satisfactory shares. O(due jobs^2 * pieces) at worst, within TAKE_IN_FUEL."""

    def __init__(self, name: str = "elasticflow") -> None:
        super().__init__(name)

    def choose(self, view: View, fuel: Fuel) -> Chosen:
        """See Allotter.choose."""
        shares = taken_in(view, Fuel(TAKE_IN_FUEL))
        left = [model.gpus for model in view.models]
        held = {seq: share for seq, share in shares.items() if share is not None}
        for share in held.values():
            left[share.model] -= share.gpus
        order = sorted(view.jobs, key=lambda j: (j.seq not in shares, *_behind(j)))
        for job in order:
            if job.seq not in held and (found := smallest(job, left)) is not None:
                held[job.seq] = found
                left[found.model] -= found.gpus
        Steps(_worth).grow(order, held, left)
        held = keep_where_it_pays(view, held, shares)
        return Chosen(
            [
                Choice(job, held[job.seq], _reason(job, shares))
                for job in view.jobs
                if job.seq in held
            ]
        )


def _behind(job: LiveJob) -> tuple[int, int]:
    """Among those that nothing is promised: who needs least GPU time goes first.

    Of unknown length, who holds GPUs goes on: else whoever has worked a moment would be behind.
    """
    if job.left_ms == UNKNOWN and job.has is not None:
        return (0, job.seq)
    return (work_left_ms(job) * job.normal_gpus, job.seq)


def _worth(job: LiveJob, model: int, at: int) -> int:
    """Minus the GPU time that the next size costs more, for each GPU of it."""
    (has, speed), (more, faster) = job.levels[model][at - 1 : at + 1]
    left = work_left_ms(job)
    return left * has * 1000 // speed * 1000 // (
        more - has
    ) - left * more * 1000 // faster * 1000 // (more - has)


def taken_in(view: View, fuel: Fuel) -> dict[int, Held | None]:
    """Jobs that will be over in time, by submit sequence, with what they need now (None: nothing).

    Who has begun goes first, then submit order; nobody who is taken in makes another late. When the
    fuel is spent nobody else is taken in.
    """
    due = [job for job in view.jobs if job.due_ms > view.now_ms and job.left_ms != UNKNOWN]
    due.sort(key=lambda j: (j.has is None and not j.worked_ms, j.seq))
    taken: list[LiveJob] = []
    profile = Profile(view)
    shares: dict[int, Held | None] = {}
    for job in due:
        if not fuel.left or not profile.could(job, MARGIN_RESTARTS):
            continue
        again = Profile(view)
        trial = sorted([*taken, job], key=lambda j: (j.due_ms, j.seq))
        found: dict[int, Held | None] = {}
        for other in trial:
            fuel.burn(again.size)
            plan = again.reserve(other, MARGIN_RESTARTS if other is job else 0)
            if plan is None:
                break
            found[other.seq] = plan.now
        else:
            taken, shares = trial, found
    return shares


def _reason(job: LiveJob, shares: dict[int, Held | None]) -> str:
    if job.seq in shares:
        return "enough to be over in time"
    return (
        "behind those that can be over in time" if job.due_ms else "what those that are due leave"
    )
