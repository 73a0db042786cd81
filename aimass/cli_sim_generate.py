"""massctl sim generate: synthetic traces of jobs, from distributions or like another trace."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from aimass import units
from aimass.cli_base import Command, Parsed, common_options
from aimass.cli_sim_base import counted, installed, refusals
from aimass.cli_sim_files import keep_apart, known_form, trace_files
from aimass.cli_sim_options import FIX, FORMATS, out_option, perf_option
from aimass.cli_sim_requests import Requests, requests_options, write_replicas
from aimass.errors import InvalidRequest
from aimass.output import hint

JOBS_MAX = 100_000_000
JOBS, RATE = 1000, 60.0
RATE_MAX = 1e9
ARRIVALS = ("poisson", "daily", "bursty")
# Of Philly's jobs (2017-09-04 to 11-13): sizes, and the median of a lognormal fit; sigma is 2.06.
SIZES = "1:939,2:19,4:23,8:17,16:2"
DURATIONS = "lognormal:16m:2"

DURATIONS_ALLOWED = (
    "one of lognormal:MEDIAN:SIGMA, exponential:MEAN, uniform:LEAST:MOST, fixed:TIME, "
    "such as lognormal:16m:2"
)
SIZES_ALLOWED = "GPUS:WEIGHT pairs such as 1:90,4:8,0.5:2; whole GPUs, or a share of one"
TYPES_ALLOWED = "TYPE:WEIGHT pairs such as A100:3,H100:1,any:6; each type once"
_WEIGHT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?\Z")
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class Tools(NamedTuple):
    """The parts of the simulator, which need its extra."""

    fit: Any
    generate: Any
    traces: Any
    targets: Any


def parse_sizes(text: object) -> list[tuple[int, float]]:
    """Turn "1:90,0.5:10" into (milli-GPU, weight). Raises ValueError with what is allowed."""
    found = []
    for word, weight in _pairs(text, SIZES_ALLOWED):
        try:
            gpu_milli = units.gpu_milli(float(word))
        except ValueError:
            raise ValueError(SIZES_ALLOWED) from None
        found.append((gpu_milli, weight))
    if not all(gpu_milli for gpu_milli, _ in found):
        raise ValueError(SIZES_ALLOWED)
    return found


def parse_types(text: object) -> list[tuple[tuple[str, ...], float]]:
    """Turn "A100:3,any:6" into (types, weight). Raises ValueError with what is allowed."""
    pairs = _pairs(text, TYPES_ALLOWED)
    if not all(_TYPE.match(word) for word, _ in pairs):
        raise ValueError(TYPES_ALLOWED)
    return [(() if word == "any" else (word,), weight) for word, weight in pairs]


def parse_durations(text: object) -> tuple[str, tuple[Any, ...]]:
    """Turn "lognormal:16m:2" into a distribution of simulator.generate and its arguments."""
    name, *words = str(text).split(":")
    try:
        match name, words:
            case "lognormal", [median, sigma] if _WEIGHT.match(sigma) and float(sigma) <= 10:
                return name, (units.span_ms(median), float(sigma))
            case "exponential", [mean]:
                return name, (units.span_ms(mean),)
            case "uniform", [least, most] if units.span_ms(least) <= units.span_ms(most):
                return name, (units.span_ms(least), units.span_ms(most))
            case "fixed", [time]:
                return "uniform", (units.span_ms(time),) * 2
    except ValueError as error:
        raise ValueError(f"{DURATIONS_ALLOWED}; of times: {error}") from None
    raise ValueError(DURATIONS_ALLOWED)


def parse_above_0(most: float) -> Callable[[object], float]:
    """A number above 0, at most that."""

    def parse(text: object) -> float:
        if not _WEIGHT.match(str(text)) or not 0 < float(str(text)) <= most:
            raise ValueError(f"a number above 0, at most {most:g}")
        return float(str(text))

    return parse


def _pairs(text: object, allowed: str) -> list[tuple[str, float]]:
    found = []
    for part in str(text).split(","):
        word, _, weight = part.strip().partition(":")
        if not word or not _WEIGHT.match(weight) or not float(weight):
            raise ValueError(allowed)
        found.append((word, float(weight)))
    if len({word for word, _ in found}) < len(found):
        raise ValueError(allowed)
    return found


@click.command(
    cls=Command,
    examples="""
    massctl sim generate --jobs 5000 --arrival daily --rate 200 --out jobs.jsonl.gz
    massctl sim generate --sizes 1:80,8:20 --durations lognormal:30m:1.5 --gpu-types A100:2,any:8
    massctl sim generate --like philly.csv.gz --jobs 200000 --rate 120 --seed 7 --out more.jsonl.gz
    massctl sim generate --requests llm.csv.gz --per-replica 0.5 --sizes 4:1 --out replicas.jsonl
    """,
)
@click.option(
    "--jobs",
    "count",
    type=click.IntRange(1, JOBS_MAX),
    default=None,
    metavar="N",
    help=f"How many. Default: {JOBS}, or as many as in --like.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N")
@click.option(
    "--arrival",
    type=click.Choice(ARRIVALS),
    default=None,
    help="poisson; daily: three times as many by day as by night; bursty: ten at a time, on "
    "average. Default: poisson, or as in each hour of --like.",
)
@click.option(
    "--rate",
    type=Parsed("rate", parse_above_0(RATE_MAX)),
    default=None,
    metavar="N",
    help=f"Jobs an hour, on average. Default: {RATE:g}, or as in --like.",
)
@click.option(
    "--sizes",
    type=Parsed("sizes", parse_sizes),
    default=None,
    metavar="GPUS:WEIGHT[,…]",
    help=f"Default: {SIZES}.",
)
@click.option(
    "--durations",
    type=Parsed("durations", parse_durations),
    default=None,
    metavar="NAME:TIME[:…]",
    help=f"lognormal, exponential, uniform or fixed. Default: {DURATIONS}.",
)
@click.option(
    "--gpu-types",
    "types",
    type=Parsed("gpu-types", parse_types),
    default=None,
    metavar="TYPE:WEIGHT[,…]",
    help="GPU types that jobs ask for; any: none. Default: any.",
)
@click.option(
    "--slo",
    "slo_factor",
    type=Parsed("slo", parse_above_0(1000)),
    default=None,
    metavar="FACTOR",
    help="Each job should have ended within so many times its run time.",
)
@click.option(
    "--like",
    "like_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sizes, GPU types, queues, run times and hours of arrival as in this trace.",
)
@click.option(
    "--format",
    "like_form",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="What --like is; auto looks at its first line.",
)
@perf_option
@out_option
@requests_options
@common_options
def generate(
    count: int | None,
    seed: int,
    arrival: str | None,
    rate: float | None,
    sizes: list[tuple[int, float]] | None,
    durations: tuple[str, tuple[Any, ...]] | None,
    types: list[tuple[tuple[str, ...], float]] | None,
    slo_factor: float | None,
    like_file: Path | None,
    like_form: str,
    perf_path: Path | None,
    out_file: Path | None,
    requests: Requests,
) -> None:
    """Make a synthetic trace for the other commands; equal options give equal bytes.

    Run times are between 1 s and 100 days. With --requests the jobs are replicas of a service.
    """
    known_form(out_file)
    if requests.file is not None:
        drawn = (count, arrival, rate, durations, slo_factor, like_file)
        if any(value is not None for value in drawn):
            fix = "leave out --jobs, --arrival, --rate, --durations, --slo and --like"
            raise InvalidRequest("--requests says when jobs come and how long they run", fix=fix)
        keep_apart([out_file], [requests.file])
        write_replicas(
            requests.file, requests, sizes or [(1000, 1.0)], types or [((), 1.0)], out_file
        )
        return
    tools = _tools()
    given = {"--sizes": sizes, "--durations": durations, "--gpu-types": types}
    both = [name for name, value in given.items() if value is not None]
    if like_file is not None and both:
        raise InvalidRequest(f"--like and {both[0]} say both what jobs are", fix="give one of them")
    with refusals(FIX):
        if like_file is None:
            default, per_hour = JOBS, (RATE,) * tools.generate.HOURS
            kinds = _kinds(
                tools,
                sizes or parse_sizes(SIZES),
                durations or parse_durations(DURATIONS),
                types or [((), 1.0)],
            )
        else:
            keep_apart([out_file], trace_files(like_file, like_form, perf_path))
            like = tools.fit.fit(tools.traces.read_trace(like_file, like_form, None, perf_path))
            default, kinds, per_hour = like.jobs, like.kinds, like.arrivals.per_hour
        arrivals = _arrivals(tools, arrival, rate, per_hour)
        slo_milli = round(1000 * (slo_factor or 0))
        jobs = tools.generate.generate(count or default, kinds, arrivals, seed, slo_milli)
        made = tools.targets.write_as_named(jobs, out_file)
    if out_file is not None:
        hint(f"{counted(made, 'job')} in {out_file}")


def _kinds(
    tools: Tools,
    sizes: list[tuple[int, float]],
    durations: tuple[str, tuple[Any, ...]],
    types: list[tuple[tuple[str, ...], float]],
) -> list[Any]:
    name, arguments = durations
    duration = getattr(tools.generate, name)(*arguments)
    return [
        tools.generate.Kind(weight * part, gpu_milli, duration, gpu_types)
        for gpu_milli, weight in sizes
        for gpu_types, part in types
    ]


def _arrivals(
    tools: Tools, name: str | None, rate: float | None, per_hour: tuple[float, ...]
) -> Any:
    """Arrivals by name; without one as fitted. A rate scales them to that mean."""
    mean = sum(per_hour) / len(per_hour)
    if name == "daily":
        per_hour = tuple(mean * part for part in tools.generate.DAY)
    elif name is not None:
        per_hour = (mean,) * len(per_hour)
    factor = 1 if rate is None else rate / mean
    return tools.generate.Arrivals(tuple(factor * one for one in per_hour), name == "bursty")


def _tools() -> Tools:
    with installed():
        from aimass.simulator import fit, generate, trace_targets, traces
    return Tools(fit, generate, traces, trace_targets)
