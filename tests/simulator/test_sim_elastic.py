"""Elastic jobs in virtual time: they take what idles, at what a restart costs, and give it back."""

from dataclasses import replace

from aimass.core.speeds import NORMAL_MICRO, SpeedOn
from aimass.policies.registry import make_policy
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.specs import Specs
from aimass.simulator.tracejob import TraceJob, misfit
from tests.simulator.test_sim_run import MINUTE_MS, played

FAIR = make_policy("fair")
EVERY_MS = 10 * MINUTE_MS
COSTS = Costs(restart_ms=MINUTE_MS, resize_every_ms=EVERY_MS)
ELASTIC = TraceJob("e", 0, 120 * MINUTE_MS, 2000, gpus_min=1, gpus_max=4)


def test_an_elastic_job_grows_into_what_idles_and_pays_for_the_restart() -> None:
    records, outcome = played([ELASTIC], "1x4xV100", FAIR, COSTS)
    # Alone it starts with what it asks for or the least, and has all four GPUs an interval later.
    record = records["e"]
    assert record.attempts == 2
    assert record.preemptions == outcome.preemptions == 0  # for nobody's sake but its own
    assert record.end_ms < 120 * MINUTE_MS
    assert record.held_ms == record.worked_ms + MINUTE_MS
    assert record.held == outcome.held > 2000 * record.held_ms
    assert outcome.held + outcome.idle == 4000 * record.end_ms


def test_it_shrinks_for_who_has_a_right_to_its_extras() -> None:
    rigid = TraceJob("r", 30 * MINUTE_MS, 10 * MINUTE_MS, 3000, priority=1)
    records, _ = played([ELASTIC, rigid], "1x4xV100", FAIR, COSTS)
    assert records["r"].start_ms == 30 * MINUTE_MS
    assert records["e"].preemptions == 1
    assert records["e"].attempts >= 3


def test_it_works_as_fast_as_its_trace_says_in_each_size() -> None:
    speeds = tuple(SpeedOn("", g, 0, s * NORMAL_MICRO // 10) for g, s in ((1, 6), (2, 10), (4, 15)))
    slow = replace(ELASTIC, speeds=speeds, gpus_min=4, gpu_milli=4000)
    records, _ = played([slow], "1x4xV100", FAIR, COSTS)
    assert records["e"].end_ms == 80 * MINUTE_MS


def test_its_spec_has_its_bounds_and_what_policies_are_told() -> None:
    kinds, told = parse_cluster("1x4xV100+1x2xT4"), (SpeedOn("T4", 0, 0, 700_000),)
    job = replace(ELASTIC, gpus_max=64, slo_ms=5, told_speeds=told, cpu_milli=6000)
    spec = Specs(kinds, Costs(1000, 2000, 0, 4000)).spec(job, 100)
    elastic = spec.roles[0].elastic
    assert elastic is not None
    assert (elastic.min_shards, elastic.max_shards, elastic.cost_ms) == (1, 6, 7000)
    assert (spec.roles[0].shards, spec.roles[0].need.gpu_milli) == (2, 1000)
    assert spec.roles[0].need.cpu_milli == 3000
    assert (spec.speeds, spec.due_ms) == (told, 105)


def test_under_an_allotter_gangs_take_any_gpus_of_their_kind() -> None:
    job = TraceJob("r", 0, 1000, 4000)
    (role,) = Specs(parse_cluster("2x4xV100"), Costs(), is_scattered=True).spec(job, 0).roles
    assert (role.shards, role.need.gpu_milli, role.elastic) == (4, 1000, None)


def test_who_fits_is_seen_before_it_comes() -> None:
    kinds = parse_cluster("2x4xV100")
    few = (kinds[0]._replace(cpu_milli=8000, memory_mib=1024),)
    assert misfit(replace(ELASTIC, gpus_min=9, gpus_max=16), kinds) is not None
    assert misfit(replace(ELASTIC, gpu_milli=16_000), kinds) is None
    small = TraceJob("s", 0, 1, 500, cpu_milli=8000, memory_mib=1024)
    assert misfit(small, few) is None
    assert "CPU and memory" in str(misfit(replace(small, cpu_milli=8001), few))
    assert misfit(replace(small, gpu_milli=8000, cpu_milli=16_000), few) is None
    assert misfit(replace(small, gpu_milli=0, memory_mib=1025), few) is not None
