"""massd, the scheduler daemon: read the options, wire everything, run until a signal."""

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import click
import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aimass import __version__
from aimass.core.events import LevelsPut
from aimass.core.journal import JournalError, JournalFullError
from aimass.policies.registry import ALLOTTERS, ORDERS, PLACERS
from aimass.scheduler.agents import AgentLinks
from aimass.scheduler.engine import Engine
from aimass.scheduler.errors import Refused, StartError
from aimass.scheduler.flags import Duration, GpuHours, address, levels, refuse_idle_moves
from aimass.scheduler.inbox import Context
from aimass.scheduler.journal_sqlite import JournalBusyError, SqliteJournal
from aimass.scheduler.log_follow import LogFollower
from aimass.scheduler.logs import configure_logs
from aimass.scheduler.metrics import Metrics, serve_http
from aimass.scheduler.policy_load import load_policy
from aimass.scheduler.recovery import set_aside_garbage_collection
from aimass.scheduler.server import About, SchedulerServer
from aimass.v1 import agent_pb2, agent_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc

log = structlog.get_logger()

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
STOP_GRACE_S = 1.0
EXIT_CONFLICT = 4
LEASE_S_MAX = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of the daemon, read once."""

    data: Path
    host: str
    port: int
    http_host: str
    http_port: int
    lease_ms: int
    heartbeat_ms: int
    order: str
    place: str
    promises: int
    moves: int
    move_budget_gpu_ms: int
    levels: tuple[str, ...] | None  # None: as the journal has them


async def serve(config: Config) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises StartError, JournalError."""
    journal = _open_journal(config.data)
    try:
        policy = load_policy(
            config.order,
            config.place,
            promises=config.promises,
            moves=config.moves,
            move_budget_gpu_ms=config.move_budget_gpu_ms,
        )
        engine = Engine(journal, policy)
        metrics = Metrics()
        engine.on_commit.append(metrics.observe)
        links = AgentLinks(engine, config.lease_ms, config.heartbeat_ms)
        await engine.start(lambda: uuid.uuid4().hex[:12])
        http, http_port = _start_http(config, metrics, engine)
        runner = asyncio.create_task(engine.run(), name="engine")
        try:
            cluster_id = await engine.ask(lambda c: c.cluster.cluster_id)
            await links.begin()
            if config.levels is not None:
                await engine.tell(partial(_put_levels, levels=config.levels))
            about = About(
                __version__,
                cluster_id,
                f"sqlite:{config.data}",
                f"{config.http_host}:{http_port}",
                time.time_ns() // 1_000_000,
            )
            scheduler = SchedulerServer(engine, LogFollower(engine, links), about)
            watchers = [
                asyncio.create_task(links.watch(), name="leases"),
                asyncio.create_task(metrics.watch(engine), name="gauges"),
            ]
            await _serve_grpc(config, scheduler, links, about, [runner, *watchers])
            for task in watchers:
                task.cancel()
            await engine.stop()
        finally:
            runner.cancel()
            http.shutdown()
    finally:
        journal.close()


def _put_levels(context: Context, levels: tuple[str, ...]) -> None:
    """The topology's levels are what the command line says; the journal keeps them."""
    if context.cluster.levels != levels:
        context.emit(LevelsPut(context.now_ms, levels))


def _open_journal(data: Path) -> SqliteJournal:
    try:
        return SqliteJournal(data)
    except JournalBusyError as error:
        raise StartError(
            f"another massd is running: {error}",
            "stop it first, or give this one a folder of its own with --data FOLDER",
            EXIT_CONFLICT,
        ) from error
    except OSError as error:
        raise StartError(
            f"cannot use {data}: {error.strerror}", "choose a folder you may write: --data FOLDER"
        ) from error


def _start_http(config: Config, metrics: Metrics, engine: Engine) -> tuple[WSGIServer, int]:
    try:
        return serve_http(config.http_host, config.http_port, metrics, lambda: engine.refusing)
    except OSError as error:
        raise StartError(
            f"cannot listen on {config.http_host}:{config.http_port} for HTTP: {error.strerror}",
            "choose another port: massd --http HOST:PORT (port 0: any)",
            EXIT_CONFLICT,
        ) from error


async def _serve_grpc(
    config: Config,
    scheduler: SchedulerServer,
    links: AgentLinks,
    about: About,
    tasks: list["asyncio.Task[None]"],
) -> None:
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.so_reuseport", 0),  # a port in use must be an error, not a second listener
        ]
    )
    scheduler_pb2_grpc.add_SchedulerServicer_to_server(scheduler, server)
    agent_pb2_grpc.add_AgentLinkServicer_to_server(links, server)
    names = [
        scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"].full_name,
        agent_pb2.DESCRIPTOR.services_by_name["AgentLink"].full_name,
        reflection.SERVICE_NAME,
        health.SERVICE_NAME,
    ]
    reflection.enable_server_reflection(names, server)
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]  # public, behind a version check
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        host = f"[{config.host}]" if ":" in config.host else config.host
        port = server.add_insecure_port(f"{host}:{config.port}")
    except RuntimeError as error:
        raise StartError(
            f"cannot listen on {config.host}:{config.port}",
            "it is in use, or not an address of this machine; another: massd --listen HOST:PORT",
            EXIT_CONFLICT,
        ) from error
    await server.start()
    run_file = _write_run_file(config, f"{host}:{port}", about)
    print(f"massd ready on {host}:{port}", flush=True)
    stop = asyncio.create_task(_signalled(), name="signal")
    try:
        done, _ = await asyncio.wait((*tasks, stop), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task is not stop:
                task.result()  # something that should run for ever has failed: end with its error
    finally:
        run_file.unlink(missing_ok=True)
        links.leave()
        await server.stop(STOP_GRACE_S)
        log.info("stopped")


def _write_run_file(config: Config, address: str, about: About) -> Path:
    """Say where to find this daemon; replaced whole, so that a reader never sees half of it."""
    path = config.data / "massd.json"
    content = {
        "address": address,
        "http_address": about.http_address,
        "pid": os.getpid(),
    }
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)
    return path


async def _signalled() -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    await event.wait()


# ---- options ------------------------------------------------------------------------------------


def default_data() -> Path:
    """Where the daemon keeps its journal unless told."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "aimass" / "massd"


@click.command(
    context_settings={"auto_envvar_prefix": "MASSD", "help_option_names": ["-h", "--help"]}
)
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Journal folder.")
@click.option("--listen", default="127.0.0.1:6277", show_default=True, help="gRPC HOST:PORT.")
@click.option("--http", default="127.0.0.1:6278", show_default=True, help="/metrics, /healthz.")
@click.option("--insecure", is_flag=True, help="Allow addresses beyond this machine.")
@click.option(
    "--lease",
    type=Duration(),
    default="10m",
    show_default=True,
    help="A silent node is kept so long.",
)
@click.option(
    "--heartbeat", type=Duration(), default="2s", show_default=True, help="Between beats."
)
@click.option(
    "--order",
    type=click.Choice([*ORDERS, *ALLOTTERS]),
    default="fair",
    show_default=True,
    help="Who is next, or who holds what; see massctl policy ls.",
)
@click.option(
    "--place",
    type=click.Choice(list(PLACERS)),
    default="best-fit",
    show_default=True,
    help="Where jobs go. mass: by the mix of what is submitted; needs aimass[fast].",
)
@click.option(
    "--promises",
    type=click.IntRange(0, 1000),
    default=8,
    show_default=True,
    help="Blocked jobs that own a planned start, which no other may delay. 0: none.",
)
@click.option(
    "--moves",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Movable jobs that may be moved at a time so that a waiting one starts earlier.",
)
@click.option(
    "--move-budget",
    type=GpuHours(),
    default="10gpuh",
    show_default=True,
    help="What moves may cost in a day, in work and restarts.",
)
@click.option(
    "--levels",
    callback=levels,
    metavar="LABEL,…",
    help="Topology, widest first, as labels of nodes: block,rack. Kept in the journal.",
)
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), default="auto")
@click.version_option(__version__, prog_name="massd")
def command(
    data: Path | None,
    listen: str,
    http: str,
    insecure: bool,
    lease: float,
    heartbeat: float,
    order: str,
    place: str,
    promises: int,
    moves: int,
    move_budget: float,
    levels: tuple[str, ...] | None,
    log_format: str,
) -> None:
    """The AI Mass scheduler daemon.

    Examples:

    \b
      massd                                  one machine, journal in ~/.local/state/aimass/massd
      massd --data /srv/aimass --order fifo  another folder, strict submit order
      massd --listen 127.0.0.1:0             any free port; see FOLDER/massd.json
      massd --levels block,rack              gangs may ask for one block, or one rack
    """
    if not (0.05 <= heartbeat <= 60 and 3 * heartbeat <= lease <= LEASE_S_MAX):
        raise click.UsageError(
            "--heartbeat lies between 50ms and 60s, --lease between 3 heartbeats and 30d"
        )
    refuse_idle_moves(order, promises, moves)
    host, port = address(listen, "--listen", insecure)
    http_host, http_port = address(http, "--http", insecure)
    os.umask(0o077)
    configure_logs(log_format)
    set_aside_garbage_collection()
    config = Config(
        data=data or default_data(),
        host=host,
        port=port,
        http_host=http_host,
        http_port=http_port,
        lease_ms=round(lease * 1000),
        heartbeat_ms=round(heartbeat * 1000),
        order=order,
        place=place,
        promises=promises,
        moves=moves,
        move_budget_gpu_ms=round(move_budget * 3_600_000),
        levels=levels,
    )
    try:
        uvloop.run(serve(config))
    except StartError as error:
        print(f"error: {error}\nfix: {error.fix}", file=sys.stderr)
        sys.exit(error.code)
    except Refused as error:
        print(f"error: {error}\nfix: {error.detail.fix}", file=sys.stderr)
        sys.exit(1)
    except JournalFullError as error:
        print(f"error: {error}\nfix: free disk space under {config.data}", file=sys.stderr)
        sys.exit(1)
    except JournalError as error:
        print(
            f"error: {error}\nfix: look at it with: massctl journal verify {config.data}",
            file=sys.stderr,
        )
        sys.exit(1)


def main() -> None:
    """Entry point of the `massd` script."""
    command()


if __name__ == "__main__":
    main()
