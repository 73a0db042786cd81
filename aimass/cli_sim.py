"""massctl sim: the code that packs and schedules, on files; no running scheduler is asked."""

import click

from aimass.cli_base import Group, common_options
from aimass.cli_sim_convert import convert
from aimass.cli_sim_export import export
from aimass.cli_sim_generate import generate
from aimass.cli_sim_pack import pack
from aimass.cli_sim_queue import queue
from aimass.cli_sim_replay import replay
from aimass.cli_sim_run import run
from aimass.cli_sim_size import size
from aimass.cli_sim_sweep import sweep
from aimass.cli_sim_validate import validate


@click.group(
    cls=Group,
    examples="""
    massctl sim pack --nodes nodes.csv --pods pods.csv --policy fgd,mass
    massctl sim pack --nodes nodes.csv.gz --pods pods.csv.gz --seeds 42 --bound --plot packing.html
    massctl sim queue --nodes nodes.csv --pods pods.csv --policy fgd,mass --load 0.9
    massctl sim run --trace jobs.jsonl --cluster 64x8xH100 --policy fair --compare fifo
    massctl sim sweep grid.yaml --workers 8
    massctl sim generate --jobs 5000 --arrival daily --rate 200 --out jobs.jsonl.gz
    massctl sim export --journal massd/ --out jobs.jsonl.gz
    massctl sim convert philly.csv.gz philly.parquet
    massctl sim validate --journal massd/
    massctl sim replay --journal massd/ --policy las --cluster 16x8xH100
    massctl sim size --slo 'wait_p95<30m' --trace jobs.jsonl --cluster 8x8xH100
    """,
)
@common_options
def sim() -> None:
    """Try policies on clusters and jobs from files. Needs `pip install 'aimass[sim]'`."""


sim.add_command(pack)
sim.add_command(queue)
sim.add_command(run)
sim.add_command(sweep)
sim.add_command(size)
sim.add_command(generate)
sim.add_command(export)
sim.add_command(convert)
sim.add_command(replay)
sim.add_command(validate)
