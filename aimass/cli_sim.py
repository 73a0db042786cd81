"""massctl sim: the code that packs, on clusters and pods from files; no scheduler is asked."""

import click

from aimass.cli_base import Group, common_options
from aimass.cli_sim_pack import pack
from aimass.cli_sim_queue import queue


@click.group(
    cls=Group,
    examples="""
    massctl sim pack --nodes nodes.csv --pods pods.csv --policy fgd,mass
    massctl sim pack --nodes nodes.csv.gz --pods pods.csv.gz --seeds 42 --bound --plot packing.html
    massctl sim queue --nodes nodes.csv --pods pods.csv --policy fgd,mass --load 0.9
    """,
)
@common_options
def sim() -> None:
    """Try packing policies on a cluster and pods from files. Needs `pip install 'aimass[sim]'`."""


sim.add_command(pack)
sim.add_command(queue)
