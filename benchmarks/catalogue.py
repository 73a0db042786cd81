"""The benchmarks by name, and what their records should reach. Add a row to add a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import (
    apply,
    cli,
    decide_backlog,
    decide_place,
    decide_preempt,
    decide_submit,
    decide_why,
    memory,
    moves,
    place,
    place_gang,
    place_live,
    restart,
    sim,
    sim_gavel,
    sim_large,
    sim_pollux,
    sim_solve,
    submit_batch,
    submit_start,
    submit_unary,
)
from benchmarks.record import Aim, Record


@dataclass(frozen=True, slots=True)
class Benchmark:
    """run(scale): measure; scale 1 for figures to keep, far below to see that it works."""

    about: str
    run: Callable[[float], list[Record]]


BENCHMARKS: dict[str, Benchmark] = {
    "apply": Benchmark("events/s through core.apply, in processor time", apply.run),
    "decide_submit": Benchmark(
        "one new job on 1,024 busy nodes with 10,000 pending, ms", decide_submit.run
    ),
    "decide_backlog": Benchmark(
        "a full pass over 10,000 mixed pending jobs, 2,048 GPUs held, ms", decide_backlog.run
    ),
    "decide_exit": Benchmark(
        "the same after one running job has ended, ms", decide_backlog.run_exit
    ),
    "place_rate": Benchmark(
        "placements/s of 1-GPU jobs filling 5,000 nodes, in processor time", decide_place.run_place
    ),
    "gang_rate": Benchmark(
        "gangs of 16 shards placed and taken back a second, in processor time",
        decide_place.run_gangs,
    ),
    "preempt": Benchmark(
        "a decision that finds victims among 8,192 running jobs, ms", decide_preempt.run
    ),
    "scale": Benchmark(
        "decide_submit on 1,000 to 100,000 nodes, and with as many pending", decide_submit.run_scale
    ),
    "why": Benchmark(
        "one full explanation at 1,024 nodes and 10,000 pending jobs, ms", decide_why.run
    ),
    "place_openb": Benchmark(
        "packing decisions/s on the 1,213 nodes of openb, compiled and plain", place.run_openb
    ),
    "place_scale": Benchmark(
        "packing decisions/s on up to 100,000 nodes, and memory", place.run_scale
    ),
    "place_latency": Benchmark(
        "a decision about one pod by mass on 9,704 nodes of openb at 85 % load, ms", place_live.run
    ),
    "gang_scale": Benchmark(
        "a decision about a gang of 64 GPUs in one rack of 10,000 part-filled nodes, ms",
        place_gang.run,
    ),
    "moves": Benchmark(
        "what moving jobs gains and costs, 24 simulated hours of 512 GPUs", moves.run
    ),
    "warmup": Benchmark("seconds to the first packing decision of a process", place.run_warmup),
    "memory": Benchmark("resident MiB with 8,192 running and 100,000 pending jobs", memory.run),
    "restart": Benchmark("seconds until a killed massd serves 100,000 jobs again", restart.run),
    "submit_unary": Benchmark("durable submits/s, one call each, 32 in flight", submit_unary.run),
    "submit_batch": Benchmark("durable submits/s over SubmitBatch", submit_batch.run),
    "submit_start": Benchmark("submit to the program's first instruction, ms", submit_start.run),
    "sim_tiresias": Benchmark(
        "jobs/s of traces through the scheduler in virtual time, in processor time", sim.run
    ),
    "sim_pollux": Benchmark(
        "jobs/s of the Pollux artifact's workloads, in rounds and in events, in processor time",
        sim_pollux.run,
    ),
    "sim_solve": Benchmark(
        "ms of one allotment for everybody, 64 and 2,048 GPUs, in processor time", sim_solve.run
    ),
    "sim_gavel": Benchmark(
        "jobs/s of Gavel's traces under max-min fairness, in rounds and in events", sim_gavel.run
    ),
    "sim_philly": Benchmark(
        "63,911 jobs under fair share, backfill and racks on 2,474 GPUs: s and MiB",
        sim_large.run_philly,
    ),
    "sim_million": Benchmark(
        "a million jobs on 100,000 GPUs under fifo-backfill, and less of both: minutes",
        sim_large.run_million,
    ),
    "cli": Benchmark("wall time of massctl beside `python -c pass`, ms", cli.run),
}

# Names that stand for several benchmarks.
GROUPS: dict[str, tuple[str, ...]] = {
    "decide": (
        *("decide_submit", "decide_backlog", "decide_exit", "place_rate", "gang_rate"),
        *("preempt", "scale", "why", "memory"),
    ),
    "sim": (
        *("sim_tiresias", "sim_gavel", "sim_pollux", "sim_solve"),
        *("sim_philly", "sim_million"),
    ),
    "place": ("place_openb", "place_scale", "place_latency", "gang_scale", "moves", "warmup"),
}

# By record. Where they come from: docs/decisions and the reference measurements of Slurm and Ray.
AIMS: dict[str, Aim] = {
    "apply": Aim(200_000, is_upper=False),
    "decide_submit_p50": Aim(0.3, is_upper=True),
    "decide_submit_p99": Aim(2, is_upper=True),
    "decide_backlog": Aim(1_000, is_upper=True),
    "place_rate": Aim(20_000, is_upper=False),
    "gang_rate_8": Aim(2_000, is_upper=False),
    "gang_rate_1024": Aim(2_000, is_upper=False),
    "preempt_p99": Aim(20, is_upper=True),
    **{f"sim_solve_{policy}_64_p99": Aim(50, is_upper=True) for policy in ("sia", "mass")},
    **{f"sim_solve_{policy}_2048_p99": Aim(1_000, is_upper=True) for policy in ("sia", "mass")},
    **{
        f"sim_tiresias_{order}_{trace}": Aim(5_000, is_upper=False)
        for order in sim.ORDERS
        for trace in sim.TRACES
        if sim.TIRESIAS.exists()
    },
    **{
        f"sim_tiresias_{order}_{trace}_of_reference": Aim(10, is_upper=False)
        for order in sim.ORDERS
        for trace in sim.TRACES
        if sim.TIRESIAS.exists()
    },
    **{
        f"{sim_pollux.label_of(policy, workload)}_of_reference": Aim(10, is_upper=False)
        for policy, round_s in sim_pollux.RUNS.items()
        for workload in sim_pollux.WORKLOADS
        if round_s and sim_pollux.POLLUX.exists()
    },
    **{
        f"sim_gavel_{what}_{trace}_of_reference": aim
        for trace in sim_gavel.TRACES
        for what, aim in (("loop", Aim(10, is_upper=False)), ("jct", Aim(1, is_upper=True)))
        if sim_gavel.GAVEL.exists()
    },
    "sim_philly_cpu": Aim(60, is_upper=True),
    "sim_philly_memory": Aim(500, is_upper=True),
    "sim_million_wall": Aim(600, is_upper=True),
    "sim_million_memory": Aim(4_096, is_upper=True),
    "scale_nodes_growth_10k": Aim(1.5, is_upper=True),
    "scale_nodes_growth_100k": Aim(1.5, is_upper=True),
    "scale_pending_growth_10k": Aim(1.5, is_upper=True),
    "scale_pending_growth_100k": Aim(1.5, is_upper=True),
    "why_p50": Aim(50, is_upper=True),
    "why_p99": Aim(50, is_upper=True),
    "place_openb_fgd": Aim(10_000, is_upper=False),
    "place_openb_mass": Aim(10_000, is_upper=False),
    "place_openb_fgd_plain": Aim(300, is_upper=False),
    "place_openb_mass_plain": Aim(300, is_upper=False),
    "place_scale_100k": Aim(5_000, is_upper=False),
    "place_scale_growth_10k": Aim(1.5, is_upper=True),
    "place_scale_growth_100k": Aim(1.5, is_upper=True),
    "place_scale_memory": Aim(1_024, is_upper=True),
    "place_latency_p50": Aim(0.15, is_upper=True),
    "place_latency_p99": Aim(2, is_upper=True),
    "gang_scale_p99": Aim(5, is_upper=True),
    "warmup": Aim(1, is_upper=True),
    "memory": Aim(600, is_upper=True),
    "restart": Aim(5, is_upper=True),
    "submit_unary": Aim(2_000, is_upper=False),
    "submit_batch": Aim(20_000, is_upper=False),
    "submit_start_p50": Aim(50, is_upper=True),
    "submit_start_p99": Aim(150, is_upper=True),
    "cli_help_above": Aim(150, is_upper=True),
    "cli_ls_above": Aim(400, is_upper=True),
}
