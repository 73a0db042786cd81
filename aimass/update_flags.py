"""What `massctl update` can change of a job's shape: sizes, GPU types, places, preemption.

These are the changes that `massctl why` offers. What is given replaces what the job has.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from aimass.cli_base import SPAN, TEXT, Function
from aimass.cli_spec import ELASTIC, PREFERRED, apply_elastic, apply_interval
from aimass.errors import InvalidRequest
from aimass.flag_checks import refuse_beside

if TYPE_CHECKING:
    from aimass.v1 import job_pb2

NONE = "none"

_OPTIONS: list[Callable[[Any], Any]] = [
    click.option("--shards", type=click.IntRange(1, 4096), help="Another number of processes."),
    click.option("--elastic", type=ELASTIC, metavar="MIN-MAX[:STEP]", help="Any of these sizes."),
    click.option("--elastic-interval", type=SPAN, metavar="TIME", help="From a start to a resize."),
    click.option(
        "--gpu-type",
        "gpu_types",
        type=TEXT,
        multiple=True,
        help="Device model, or any; repeatable.",
    ),
    click.option(
        "--topology", type=TEXT, metavar="LEVEL|none", help="All shards within one, as rack."
    ),
    click.option(
        "--prefer-topology", type=PREFERRED, metavar="LEVEL[:WAIT]|none", help="If possible."
    ),
    click.option("--select", multiple=True, metavar="K=V|none", help="Node labels; repeatable."),
    click.option("--exclude", type=TEXT, metavar="NODE,…|none", help="Never on these nodes."),
    click.option("--affinity", type=click.Choice([NONE]), help="Without its required label rules."),
    click.option("--exclusive/--not-exclusive", default=None, help="No other job on its nodes."),
    click.option(
        "--preemptible/--not-preemptible", default=None, help="Whether others may take its place."
    ),
    click.option(
        "--allow-future", is_flag=True, default=None, help="Even if no present nodes could hold it."
    ),
]
NAMES = (
    *("shards", "elastic", "elastic_interval", "gpu_types", "topology", "prefer_topology"),
    *("select", "exclude", "affinity", "exclusive", "preemptible", "allow_future"),
)


def shape_options(function: Function) -> Function:
    """Add the flags that change a job's shape."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def change_shape(job_id: str, spec: "job_pb2.JobSpec", given: dict[str, Any]) -> None:
    """Change the spec as the flags say; those that are not given are None or empty."""
    if given["topology"] is not None:
        spec.topology.required = "" if given["topology"] == NONE else given["topology"]
    if given["prefer_topology"] is not None:
        level, wait_ms = given["prefer_topology"]
        spec.topology.preferred = "" if level == NONE else level
        spec.topology.wait_ms = 0 if level == NONE else wait_ms
    if given["select"]:
        _select(spec, given["select"])
    if given["exclude"] is not None:
        names = [] if given["exclude"] == NONE else given["exclude"].split(",")
        spec.exclude_nodes[:] = [name for name in names if name]
    if given["affinity"] == NONE:
        kept = [rule for rule in spec.affinity if rule.weight]
        del spec.affinity[:]
        spec.affinity.extend(kept)
    if given["exclusive"] is not None:
        spec.exclusive_node = given["exclusive"]
    if given["preemptible"] is not None:
        spec.not_preemptible = not given["preemptible"]
    if given["allow_future"]:
        spec.allow_future = True
    if given["gpu_types"]:
        refuse_beside("--gpu-type", "any", given["gpu_types"])
        for role in spec.roles:
            if role.resources.gpu_milli or role.resources.gpu_share_mib:
                role.gpu_types[:] = [] if "any" in given["gpu_types"] else given["gpu_types"]
    if any(given[flag] is not None for flag in ("shards", "elastic", "elastic_interval")):
        _resize(job_id, spec, given)


def _select(spec: "job_pb2.JobSpec", pairs: tuple[str, ...]) -> None:
    refuse_beside("--select", NONE, pairs)
    spec.node_selector.clear()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if pair == NONE:
            continue
        if not key or not equals:
            raise click.BadParameter(f"{pair!r} is not K=V", param_hint="--select")
        spec.node_selector[key] = value


def _resize(job_id: str, spec: "job_pb2.JobSpec", given: dict[str, Any]) -> None:
    roles = [role for role in spec.roles if role.HasField("elastic")] or list(spec.roles)
    if len(roles) != 1:
        names = ", ".join(role.name for role in roles)
        raise InvalidRequest(
            f"{job_id} has several roles ({names}): whose size?",
            fix=f"massctl show {job_id} -o yaml, change the file, cancel the job and submit it",
        )
    if given["shards"] is not None:
        roles[0].shards = given["shards"]
    if given["elastic"] is not None:
        apply_elastic(roles[0], *given["elastic"], is_size_given=given["shards"] is not None)
    if given["elastic_interval"] is not None:
        apply_interval(roles[0], given["elastic_interval"])
