"""massctl sim convert: a trace of one format as one of another."""

from pathlib import Path

import click

from aimass.cli_base import Command, common_options
from aimass.cli_sim_base import counted, installed, refusals
from aimass.cli_sim_files import keep_apart, known_form, trace_files
from aimass.cli_sim_options import FIX, Skips, format_option, perf_option
from aimass.output import hint

TARGETS = ("jsonl", "swf", "parquet")


@click.command(
    cls=Command,
    examples="""
    massctl sim convert philly.csv.gz philly.parquet
    massctl sim convert jobs.swf jobs.jsonl.zst --lenient
    massctl sim convert physical.trace jobs.swf --perf simulation_throughputs.json
    """,
)
@click.argument("in_file", type=click.Path(path_type=Path), metavar="IN")
@click.argument("out_file", type=click.Path(path_type=Path), metavar="OUT")
@format_option
@click.option(
    "--to",
    "target",
    type=click.Choice(TARGETS),
    default=None,
    help="The format of OUT. Default: as its name ends: .jsonl or .swf, also with .gz or .zst, "
    "or .parquet.",
)
@perf_option
@click.option("--lenient", is_flag=True, help="Leave out lines that are wrong, and say which.")
@common_options
def convert(
    in_file: Path,
    out_file: Path,
    trace_form: str,
    target: str | None,
    perf_path: Path | None,
    lenient: bool,
) -> None:
    """Write the jobs of a trace in another format, whatever its size.

    What SWF has no field for goes into a file beside it, which is read with it.
    """
    with installed():
        from aimass.simulator import trace_swf_write, trace_targets, traces
    target = target or known_form(out_file, ", or say --to")
    skips = Skips()
    with refusals(FIX), skips.told():
        keep_apart([out_file], trace_files(in_file, trace_form, perf_path))
        skip = skips.add if lenient else None
        jobs = traces.read_trace(in_file, trace_form, skip, perf_path)
        made = trace_targets.TARGETS[target](jobs, out_file)
    hint(f"{counted(made, 'job')} in {out_file}")
    if target == "swf":
        hint(f"what SWF has no field for: {trace_swf_write.side_path(out_file)}; keep it beside")
