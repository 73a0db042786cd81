"""`massnode`: reads its options once, opens the folder, probes, and keeps the link up."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO, cast

import click
import structlog
import uvloop

from aimass import __version__
from aimass.nodeagent import cgroup, processes
from aimass.nodeagent.agent import Agent
from aimass.nodeagent.home import Home, NodeError
from aimass.nodeagent.launch import NodeFacts
from aimass.nodeagent.link import Link
from aimass.nodeagent.probe import Probe, ProbeError
from aimass.nodeagent.probe_nvml import NvmlProbe
from aimass.nodeagent.probe_simulated import SimulatedProbe
from aimass.nodeagent.translate import inventory_message
from aimass.v1 import node_pb2

_PROBE_EVERY_S = 60
_TAINT = re.compile(r"[A-Za-z0-9._/-]+(=[A-Za-z0-9._/-]*)?")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Config:
    """All that `massnode` can be told."""

    data: Path
    scheduler: str
    node_id: str
    simulate: str
    labels: dict[str, str]
    taints: tuple[str, ...]
    address: str
    cpus: int
    memory_mib: int


def _data_default() -> str:
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{state}/aimass/massnode"


def _memory_mib() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


@click.command(
    context_settings={"auto_envvar_prefix": "MASSNODE", "help_option_names": ["-h", "--help"]}
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=_data_default,
    show_default="~/.local/state/aimass/massnode",
    help="Folder for what must survive a restart.",
)
@click.option(
    "--scheduler",
    default="127.0.0.1:6277",
    envvar="AIMASS_ADDRESS",
    show_default=True,
    help="HOST:PORT of massd, or @FILE: its massd.json.",
)
@click.option(
    "--node-id",
    default=socket.gethostname,
    show_default="the host's name",
    help="Name of this node in the cluster.",
)
@click.option(
    "--simulate",
    default="",
    metavar="NxMODEL",
    help="Offer devices that are not there, e.g. 2xH100-SXM5-80GB; none: a machine without GPUs.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="For node selectors; may be repeated.",
)
@click.option(
    "--taint",
    "taints",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="Keeps away jobs that do not tolerate it; may be repeated.",
)
@click.option(
    "--address",
    default="",
    help="Where other nodes reach this one.  [default: the address towards the scheduler]",
)
@click.option(
    "--cpus",
    type=click.IntRange(1),
    default=lambda: len(os.sched_getaffinity(0)),
    show_default="all",
    help="Cores to offer.",
)
@click.option(
    "--memory-mib",
    type=click.IntRange(1),
    default=_memory_mib,
    show_default="all",
    help="Memory to offer.",
)
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), default="auto")
@click.version_option(__version__, prog_name="massnode")
def main(
    labels: tuple[str, ...], taints: tuple[str, ...], log_format: str, **options: object
) -> None:
    """Run this machine's agent: report its devices, run shards, follow the scheduler.

    SIGTERM and Ctrl-C end the agent only. Shards go on, and the next agent takes them over.

    Examples:

    \b
      massnode                                     this machine's GPUs, scheduler on this machine
      massnode --scheduler 10.0.0.1:6277 --label zone=a
      massnode --data /tmp/n1 --node-id n1 --simulate 2xH100-SXM5-80GB
    """
    _configure_logs(log_format)
    try:
        config = Config(labels=_labels(labels), taints=_taints(taints), **options)  # type: ignore[arg-type]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(config))
    except NodeError as error:
        click.echo(f"error: {error.what}\nwhy: {error.why}\nfix: {error.fix}", err=True)
        sys.exit(error.exit_code)


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair or pair.startswith("="):
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--label")
    return dict(pair.split("=", 1) for pair in pairs)


def _taints(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if not _TAINT.fullmatch(word):
            raise click.BadParameter(
                f"{word!r} is not KEY or KEY=VALUE; a key has letters, digits and . _ - /",
                param_hint="--taint",
            )
    return tuple(dict.fromkeys(words))


def _configure_logs(style: str) -> None:
    """style: json, text, or auto (text on a terminal, JSON elsewhere), as massd has it."""
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"])
            if text
            else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Stderr())),
    )


class _Stderr:
    """Standard error that loses lines rather than the agent: its disk may be full."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="replace"))

    def flush(self) -> None:
        pass


async def serve(config: Config) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Errors: NodeError when it cannot start, or the scheduler refuses this node for good.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    boot_id = processes.boot_id()
    home = Home(config.data.absolute(), config.node_id, boot_id)
    probe = _probe(config)
    if not config.address:  # once: a name that cannot be resolved later must not move this node
        address = await asyncio.to_thread(_address_towards, config.scheduler)
        config = replace(config, address=address)
    inventory = await _inventory(probe, config)
    facts = NodeFacts(config.node_id, config.cpus, dict(os.environ))
    agent = Agent(home, facts, boot_id, cgroup.usable_parent(), lambda report: link.send(report))
    agent.device_uuids = {device.uuid for device in inventory.devices}
    agent.adopt_all()
    ready = f"massnode {config.node_id} ready, {len(inventory.devices)} devices ({probe.name})"
    said: list[str] = []

    def say_ready() -> None:
        if not said:
            said.append(ready)
            with contextlib.suppress(OSError):  # nobody reads our stdout any more
                click.echo(ready)

    link = Link(config.scheduler, agent, inventory, __version__, say_ready)
    work = [agent.run(), link.run(), _watch_devices(probe, config, agent, link), stop.wait()]
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        log.info("leaving; shards go on", shards=len(agent.shards))
    finally:
        await _end(tasks)
        agent.close()


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel until all have ended; one cancellation can get lost in a call that ends just then."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.5)


def _probe(config: Config) -> Probe:
    if not config.simulate:
        return NvmlProbe()
    try:
        return SimulatedProbe(config.simulate, config.node_id)
    except ProbeError as error:
        raise NodeError(
            "cannot simulate these devices", str(error), "correct --simulate", exit_code=2
        ) from error


async def _inventory(probe: Probe, config: Config) -> node_pb2.Inventory:
    try:
        probed = await asyncio.to_thread(probe.devices)
    except (ProbeError, OSError, ValueError) as error:
        raise NodeError(
            "this node's GPUs cannot be listed",
            str(error),
            "see whether nvidia-smi works; without GPUs, start with --simulate 2xH100-SXM5-80GB",
        ) from error
    return inventory_message(
        probe.name,
        probed,
        hostname=socket.gethostname(),
        address=config.address,
        cpus=config.cpus,
        memory_mib=config.memory_mib,
        labels=config.labels,
        taints=config.taints,
    )


def _address_towards(scheduler: str) -> str:
    """Give the address this machine uses towards the scheduler; nothing is sent."""
    host = scheduler.rpartition(":")[0].strip("[]") if not scheduler.startswith("@") else ""
    with contextlib.suppress(OSError):
        for family, kind, proto, _, address in socket.getaddrinfo(
            host or "127.0.0.1", 9, type=socket.SOCK_DGRAM
        ):
            with socket.socket(family, kind, proto) as towards:
                towards.connect(address)
                return str(towards.getsockname()[0])
    return "127.0.0.1"


async def _watch_devices(probe: Probe, config: Config, agent: Agent, link: Link) -> None:
    """Look again every minute; a probe that fails leaves what was last known."""
    while True:
        await asyncio.sleep(_PROBE_EVERY_S)
        try:
            inventory = await _inventory(probe, config)
        except NodeError as error:
            log.warning("probe failed", why=error.why)
            continue
        agent.device_uuids = {device.uuid for device in inventory.devices}
        link.update(inventory)


if __name__ == "__main__":
    main()
