"""What every policy does, where it comes from, what it must be told, and its options. Pure data.

Not only those of the daemon: also the published ones that the simulator plays. A test holds the
names against the tables that make policies. The figures of what they come to are measured, in
docs/simulator.md; here is only what holds on every trace.
"""

from dataclasses import dataclass

# What a policy may be told of a job, beyond what every submission says (GPUs, queue, priority).
RUN_TIME = "run time"
SPEEDS = "speeds"  # by GPU model, and by size where it is elastic
DEADLINE = "deadline"
NEEDS = (RUN_TIME, SPEEDS, DEADLINE)


@dataclass(frozen=True, slots=True)
class Option:
    """What may follow a policy's name: `las:limits=3250/7200`."""

    name: str
    default: str
    does: str


@dataclass(frozen=True, slots=True)
class Described:
    """A policy in words.

    line: in a list. source: who published it. needs: of NEEDS; without: what it does where a job
    does not tell that. is_preempting: it stops jobs by itself, for its order's sake (every policy
    but `fifo` does for priorities and guarantees). is_elastic: it chooses sizes. is_typed: it
    weighs GPU models against each other. rounds_s: of the published simulator that it can follow
    round by round (`--round`); 0: of none.
    """

    name: str
    line: str
    does: str
    source: str
    needs: tuple[str, ...] = ()
    without: str = ""
    is_preempting: bool = False
    is_elastic: bool = False
    is_typed: bool = False
    options: tuple[Option, ...] = ()
    rounds_s: int = 0


PLACE = Option("place", "best-fit", "where gangs go: best-fit, spread, or mass")
PROMISES = Option("promises", "8", "how many that wait are promised a start; 1 is EASY backfill")
LIMITS = Option("limits", "3250/7200", "where its levels end, in GPU-seconds")
INTERVAL = Option("interval", "360", "seconds that who was started keeps its GPUs; not in rounds")
PRICES = Option("prices", "all 1", "of a GPU by model: V100=2.48/K80=0.45")

_NO_TIME = "A job of unknown length counts as a year."
_NO_SPEED = "A model that nothing is said of counts as fast as any."
_SAME_SPEED = (
    "Sizes that nothing is said of follow a law of diminishing gains, models count as equal."
)
_GAVEL = "Gavel (Narayanan et al., OSDI 2020)"
_GAVEL_DOES = (
    "A program gives each job shares of the time on each GPU model; who has had least of its share "
    "runs next."
)

_QUEUES = (
    Described(
        "fifo",
        "first come, first served; nobody passes",
        "Jobs start in the order of their submission. Whoever comes first and does not fit keeps "
        "all others waiting, so nobody starves, and GPUs idle meanwhile. Priorities do not count, "
        "and nobody is stopped for another.",
        "the plain queue that all others are compared with",
        options=(PLACE,),
    ),
    Described(
        "fifo-skip",
        "first come, first served; who fits passes",
        "In the order of submission, but who cannot start lets others pass. Nobody is promised "
        "anything: wide jobs can starve while narrow ones keep coming.",
        "first fit; `fit-first` of the Tiresias simulator (NSDI 2019)",
        options=(PLACE,),
    ),
    Described(
        "fifo-backfill",
        "first come, first served; who passes delays nobody promised",
        "In the order of submission. The first that wait are promised a start, worked out from "
        "the expected ends of what runs; others pass only where that delays none of these.",
        "EASY backfill (Lifka, JSSPP 1995), with more than one promise",
        needs=(RUN_TIME,),
        without=f"{_NO_TIME} It passes only where no promise is in the way.",
        options=(PLACE, PROMISES),
    ),
    Described(
        "priority",
        "higher priority first; who fits passes",
        "By priority, then submission, over all queues that have no guarantees; who cannot start "
        "lets others pass, but not into places that were promised.",
        "as Slurm's multifactor priority, without its factors",
        needs=(RUN_TIME,),
        without=f"{_NO_TIME} It passes only where no promise is in the way.",
        options=(PLACE, PROMISES),
    ),
    Described(
        "fair",
        "the queue that has least for its weight; the daemon's default",
        "At every level of the tree of queues the one that has had the smallest dominant share "
        "for its weight goes next, guarantees first; in a queue priority, then submission. Waiting "
        "jobs are promised starts, and others fill the gaps.",
        "dominant resource fairness (Ghodsi et al., NSDI 2011), hierarchical and decayed",
        needs=(RUN_TIME,),
        without=f"{_NO_TIME} It fills gaps only where no promise is in the way.",
        options=(PLACE, PROMISES),
    ),
)

_PREEMPTING = (
    Described(
        "srtf",
        "shortest remaining time first",
        "Who needs least time to be done goes first, and stops who needs more. The least mean "
        "completion time on one GPU; long jobs wait for as long as short ones come.",
        "SRPT (Schrage, Operations Research 1968)",
        needs=(RUN_TIME,),
        without="A job of unknown length counts as a year and comes last.",
        is_preempting=True,
        options=(PLACE,),
    ),
    Described(
        "srtf-gpu",
        "shortest remaining time x GPUs first",
        "As srtf, by GPU-seconds left: narrow jobs come before wide ones of equal length.",
        "`shortest-gpu` of the Tiresias simulator (NSDI 2019)",
        needs=(RUN_TIME,),
        without="A job of unknown length counts as a year and comes last.",
        is_preempting=True,
        options=(PLACE,),
    ),
    Described(
        "las",
        "least attained service, in levels; needs to be told nothing",
        "A job begins on the first level and falls to the next when it has had so many "
        "GPU-seconds; higher levels stop lower ones. Short jobs pass long ones without being told "
        "which they are.",
        "2D-LAS of Tiresias (Gu et al., NSDI 2019)",
        is_preempting=True,
        options=(PLACE, LIMITS),
    ),
    Described(
        "pollux-tiresias",
        "2D-LAS with one level limit, jobs as large as they asked",
        "As las with one limit of 57,600 GPU-seconds; jobs keep the GPUs and the batch that they "
        "asked for.",
        "the baseline of the Pollux artifact (Qiao et al., OSDI 2021)",
        is_preempting=True,
        options=(PLACE,),
        rounds_s=60,
    ),
)

_ELASTIC = (
    Described(
        "pollux-optimus",
        "the next GPU to whom it saves most time, by the true tables",
        "One GPU after another goes to the job whose remaining time it shortens most; batches stay "
        "as they were asked for.",
        "Optimus as the Pollux artifact has it (Qiao et al., OSDI 2021)",
        needs=(RUN_TIME, SPEEDS),
        without="As optimus.",
        is_preempting=True,
        is_elastic=True,
        options=(PLACE,),
        rounds_s=60,
    ),
    Described(
        "optimus",
        "the next GPU to whom it saves most time, where a restart pays",
        "Everybody gets its smallest size first; then sizes grow step by step where the time that "
        "is left falls most for each GPU. A job is restarted for more only where that pays, and "
        "made smaller only when another needs what it has.",
        "Optimus (Peng et al., EuroSys 2018), with hysteresis",
        needs=(RUN_TIME, SPEEDS),
        without="Of a job of unknown length as much is left as it has worked, and a minute. "
        + _SAME_SPEED,
        is_preempting=True,
        is_elastic=True,
        options=(PLACE,),
    ),
    Described(
        "elasticflow",
        "deadlines with the fewest GPUs, then share the rest",
        "Jobs that are due are taken in as long as all that were taken in can still be over in "
        "time, each at the smallest size that is enough. Who cannot, and who is never due, runs "
        "behind these. What is spare goes where a GPU costs least GPU time.",
        "ElasticFlow (Gu et al., ASPLOS 2023)",
        needs=(RUN_TIME, SPEEDS, DEADLINE),
        without="A job that is never due runs behind those that are. " + _SAME_SPEED,
        is_preempting=True,
        is_elastic=True,
        options=(PLACE,),
    ),
    Described(
        "sia",
        "one integer program: who holds how many of which GPUs",
        "Each job may choose one configuration: GPUs of one model, powers of two within a node or "
        "whole nodes. Its goodput there, over that of its least one, counts to the power of -0.5, "
        "which is fair between jobs; changes are discounted by what restarts cost. Every minute, "
        "and when anybody comes or goes.",
        "Sia (Jayaram Subramanya et al., SOSP 2023)",
        needs=(SPEEDS,),
        without=_SAME_SPEED + " Without the solver (extra sim) it goes by marginal gain.",
        is_preempting=True,
        is_elastic=True,
        is_typed=True,
        options=(PLACE,),
    ),
    Described(
        "mass",
        "rigid, elastic, due and best-effort jobs on all GPU models; nothing to tune",
        "GPUs are given out step by step, each where it is worth most: sizes, models and growth in "
        "one order, queues first up to their shares by weight. What a job holds it keeps unless "
        "the change pays for the restart.",
        "ours: SRPT and heSRPT (Berg et al., 2020), weighed by restarts and queues",
        needs=(RUN_TIME, SPEEDS, DEADLINE),
        without="Of a job that tells no run time what it has had decides, as under las. "
        + _SAME_SPEED,
        is_preempting=True,
        is_elastic=True,
        is_typed=True,
        options=(PLACE,),
    ),
)


def _gavel(
    name: str,
    line: str,
    does: str,
    *needs: str,
    is_typed: bool = True,
    without: str = _NO_SPEED,
    options: tuple[Option, ...] = (PLACE, INTERVAL),
) -> Described:
    return Described(
        name,
        line,
        does,
        _GAVEL,
        needs=needs,
        without=without if needs else "",
        is_preempting=True,
        is_typed=is_typed,
        options=options,
        rounds_s=360,
    )


_GAVELS = (
    _gavel(
        "gavel-fifo",
        "Gavel's first come, first served, blind to GPU models",
        "In the order of submission, each on one model. As its artifact has it, nearly all jobs "
        "end up on the last model and take turns there: gavel-fifo-perf is the honest baseline.",
        is_typed=False,
        options=(),
    ),
    _gavel(
        "gavel-fifo-perf",
        "Gavel's first come, first served, each on its fastest model",
        "In the order of submission, each on the model on which it is fastest of those free.",
        SPEEDS,
        options=(),
    ),
    _gavel(
        "gavel-max-min",
        "Gavel's max-min fairness, blind to GPU models",
        f"{_GAVEL_DOES} The smallest share of GPU time is as large as it can be.",
        is_typed=False,
    ),
    _gavel(
        "gavel-max-min-perf",
        "Gavel's max-min fairness of progress",
        f"{_GAVEL_DOES} The smallest progress, against an equal part of every model, is as large "
        "as it can be.",
        SPEEDS,
    ),
    _gavel(
        "gavel-ftf-perf",
        "Gavel's finish-time fairness",
        f"{_GAVEL_DOES} The largest ratio of a job's expected end to that with an equal part of "
        "the cluster is as small as it can be (Themis, NSDI 2020).",
        *(RUN_TIME, SPEEDS),
        without=f"{_NO_SPEED} A job of unknown length counts as one with an hour left.",
    ),
    _gavel(
        "gavel-makespan",
        "Gavel's shortest makespan, blind to GPU models",
        f"{_GAVEL_DOES} The last of the live jobs ends as early as it can, all models alike.",
        RUN_TIME,
        is_typed=False,
        without="A job of unknown length counts as one with an hour left.",
    ),
    _gavel(
        "gavel-makespan-perf",
        "Gavel's shortest makespan",
        f"{_GAVEL_DOES} The last of the live jobs ends as early as it can.",
        *(RUN_TIME, SPEEDS),
        without=f"{_NO_SPEED} A job of unknown length counts as one with an hour left.",
    ),
    _gavel(
        "gavel-cost",
        "Gavel's most work for the money, deadlines first",
        f"{_GAVEL_DOES} Most progress for what the GPUs cost, as long as who is due gets enough.",
        *(RUN_TIME, SPEEDS, DEADLINE),
        without=f"{_NO_SPEED} Without prices all models cost the same.",
        options=(PLACE, INTERVAL, PRICES),
    ),
)

POLICIES: dict[str, Described] = {
    one.name: one for one in (*_QUEUES, *_PREEMPTING, *_ELASTIC, *_GAVELS)
}


def example(described: Described) -> str:
    """A command line that tries it."""
    if described.rounds_s == 360:
        return (
            "massctl sim run --trace trace.csv --cluster 8x1xV100+8x1xP100+8x1xK80 "
            f"--policy {described.name} --round 360"
        )
    if described.rounds_s:
        return (
            f"massctl sim run --trace workload.csv --cluster 16x4xT4 --policy {described.name} "
            f"--round {described.rounds_s} --restart 30s"
        )
    extra = next((f":{o.name}={o.default}" for o in described.options if o != PLACE), "")
    return f"massctl sim run --trace jobs.jsonl --cluster 8x8xH100 --policy {described.name}{extra}"
