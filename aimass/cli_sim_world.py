"""Options of several commands of `massctl sim` about the world: cluster, costs, failures."""

from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from aimass.cli_base import DURATION, Function
from aimass.cli_sim_cluster import load_cluster, load_failures
from aimass.cli_sim_files import world_files
from aimass.cli_sim_options import cost_options

_OPTIONS = (
    click.option(
        "--cluster",
        required=True,
        metavar="SPEC|FILE",
        help="Nodes x GPUs of each x type: 64x8xH100, 16x4xV100+8x8xA100; or a YAML file that says "
        "more.",
    ),
    click.option(
        "--pull",
        "pull_ms",
        type=DURATION,
        default=0,
        metavar="TIME",
        help="What a start needs besides on a node that has not had the job's app or user lately.",
    ),
    click.option(
        "--resize-every",
        "resize_every_ms",
        type=DURATION,
        default="10m",
        show_default=True,
        metavar="TIME",
        help="Elastic jobs change their size at most so often.",
    ),
    click.option(
        "--failures",
        default="",
        metavar="NAME|FILE",
        help="What fails: llama3, none or a YAML file. Default: what the cluster's file says.",
    ),
    click.option(
        "--realistic",
        is_flag=True,
        help="Costs, failures and speeds as measured elsewhere, where you name none of your own.",
    ),
)


@dataclass(frozen=True, slots=True)
class World:
    """What was asked for. cluster: as written."""

    cluster: str
    start_ms: int
    restart_ms: int
    checkpoint_ms: int
    stop_ms: int
    pull_ms: int
    resize_every_ms: int
    failures: str
    realistic: bool

    @property
    def files(self) -> list[Path]:
        """Those that are read."""
        return world_files(self.cluster, self.failures)

    def load(self, tools: Any) -> tuple[Any, Any, Any]:
        """Give (kinds of nodes, costs, models). Raises InvalidRequest.

        tools: the simulator's clusters, faults and models.
        """
        kinds, models = load_cluster(self.cluster, tools)
        costs = tools.models.Costs(
            *(self.start_ms, self.restart_ms, self.checkpoint_ms, self.stop_ms),
            *(self.pull_ms, self.resize_every_ms),
        )
        if self.realistic:
            costs, models = tools.models.measured(costs, models)
        if self.failures:
            models = replace(models, faults=load_failures(self.failures, tools))
        return kinds, costs, models


def world_options(function: Function) -> Function:
    """Give the options above, and those of costs, as one argument `world`."""

    @wraps(function)
    def wrapped(*args: Any, **given: Any) -> Any:
        asked = {name: given.pop(name) for name in World.__dataclass_fields__}
        return function(*args, world=World(**asked), **given)

    decorated: Any = cost_options(wrapped)
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    found: Function = decorated
    return found
