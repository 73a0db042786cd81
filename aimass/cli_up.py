"""massctl up: a whole cluster on this machine, in the foreground, gone with Ctrl-C."""

import contextlib
import os
import shlex
import signal
import sys
import threading
from pathlib import Path

import click

from aimass.background import Background, raising_on
from aimass.children import Child, await_ready, start
from aimass.cli_base import Command, Session, common_options
from aimass.errors import InvalidRequest, MassError
from aimass.output import hint

DEFAULT_LISTEN = "127.0.0.1:6277"
READY_TIMEOUT_S = 60.0
JOBS_STOP_TIMEOUT_S = 120.0
EVERY_JOB = 1_000_000  # a list without a limit gives the newest 1,000


def state_dir() -> Path:
    """Give the default data directory: $XDG_STATE_HOME/aimass, else ~/.local/state/aimass."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "aimass"


@click.command(
    cls=Command,
    examples="""
    massctl up
    massctl up --simulate 4xH100-SXM5-80GB
    massctl up --nodes 2 --simulate 8xA100-SXM4-80GB --data /tmp/cluster
    """,
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where journal, shards and logs are kept. Default: $XDG_STATE_HOME/aimass.",
)
@click.option("--nodes", type=click.IntRange(1, 64), default=1, help="Node agents. Default: 1.")
@click.option("--simulate", metavar="SPEC", help="Pretend devices, e.g. 2xH100-SXM5-80GB.")
@click.option("--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="For clients.")
@click.option("--http", default="127.0.0.1:6278", metavar="HOST:PORT", help="Metrics, health.")
@click.option("--levels", metavar="NAMES", help="Topology, widest first, by label: block,rack.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="[NODE:]KEY=VALUE",
    help="Of every node, or of n1, n2, …; repeatable.",
)
@click.option(
    "--taint",
    "taints",
    multiple=True,
    metavar="[NODE:]KEY[=VALUE]",
    help="Keeps jobs away that do not tolerate it; repeatable.",
)
@click.option("--keep-jobs", is_flag=True, help="Leave jobs running at the end.")
@common_options
@click.pass_obj
def up(
    session: Session,
    data: Path | None,
    nodes: int,
    simulate: str | None,
    listen: str,
    http: str,
    levels: str | None,
    labels: tuple[str, ...],
    taints: tuple[str, ...],
    keep_jobs: bool,
) -> None:
    """Run a whole one-machine cluster in the foreground: a scheduler and its node agents.

    Ctrl-C cancels the jobs that are not over, waits for them, and stops the daemons.
    """
    if nodes > 1 and not simulate:
        raise InvalidRequest(
            "several agents on one machine would each offer the same GPUs",
            fix=f"massctl up --nodes {nodes} --simulate 2xH100-SXM5-80GB",
        )
    data = (data or state_dir()).absolute()
    options = _node_options(nodes, simulate, labels, taints)
    children: list[Child] = []
    with raising_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        try:
            _start_scheduler(session, children, data, listen, http, levels)
            _start_agents(children, data, options)
            _print_next(session.address, data, nodes)
            _until_one_ends(children, data)
        except KeyboardInterrupt:
            if not keep_jobs and session.address and children[0].is_running:
                _stop_jobs(session)
        finally:
            _stop_daemons(children)


def daemon_argv(module: str, *args: str) -> list[str]:
    """Give the command line of one of our daemons, run by this very Python.

    -P: a file of the current directory, random.py say, is no module of a daemon's.
    """
    return [sys.executable, "-P", "-m", module, *args]


def _node_options(
    nodes: int, simulate: str | None, labels: tuple[str, ...], taints: tuple[str, ...]
) -> dict[str, list[str]]:
    """Give the flags of each node's agent. A word that begins with a node's name is for it only."""
    flags = ["--simulate", simulate] if simulate else []
    found = {f"n{number}": [*flags] for number in range(1, nodes + 1)}
    for flag, words in (("--label", labels), ("--taint", taints)):
        for word in words:
            name, colon, rest = word.partition(":")
            if colon and "=" not in name and name not in found:
                raise click.BadParameter(f"{word!r}: there is no node {name}", param_hint=flag)
            is_of_one = bool(colon) and name in found
            for each in [name] if is_of_one else found:
                found[each] += [flag, rest if is_of_one else word]
    return found


def _start_scheduler(
    session: Session,
    children: list[Child],
    data: Path,
    listen: str,
    http: str,
    levels: str | None,
) -> None:
    """Start the scheduler; the session then talks to it, whatever port it got."""
    session.address = None
    argv = daemon_argv("aimass.scheduler.main", "--data", str(data / "massd"))
    argv += ["--listen", listen, "--http", http, *(["--levels", levels] if levels else [])]
    changed = threading.Event()
    massd = start("massd", argv, data / "log" / "massd.log", "massd ready on ", changed)
    children.append(massd)
    try:
        line = await_ready(massd, READY_TIMEOUT_S)
    except MassError as error:
        for flag in ("--listen", "--http"):
            if f"massd {flag} " in error.why:  # the address is in use
                error.fix = f"massctl up {flag} HOST:PORT (port 0: any); {error.fix}"
        raise
    session.address = line.removeprefix("massd ready on ").split()[0]


def _start_agents(children: list[Child], data: Path, options: dict[str, list[str]]) -> None:
    """Start the agents side by side, and wait until the scheduler has welcomed them all."""
    for name, flags in options.items():
        argv = daemon_argv("aimass.nodeagent.main", "--data", str(data / name), "--node-id", name)
        argv += ["--scheduler", f"@{data / 'massd' / 'massd.json'}"]
        argv += flags
        log = data / "log" / f"{name}.log"
        children.append(start(name, argv, log, f"massnode {name} ready", children[0].changed))
    for child in children[1:]:
        hint(await_ready(child, READY_TIMEOUT_S))


def _print_next(address: str | None, data: Path, nodes: int) -> None:
    print(f"ready on {address}", flush=True)
    hint(f"{nodes} node{'s' if nodes != 1 else ''}; everything is kept in {data}")
    hint("next, in another terminal:")
    if address != DEFAULT_LISTEN:
        hint(f"  export AIMASS_ADDRESS={address}")
    hint("  massctl nodes")
    hint("  massctl run -- echo hello")
    hint("Ctrl-C here cancels the jobs and stops the cluster")


def _until_one_ends(children: list[Child], data: Path) -> None:
    """Wait for Ctrl-C; raise the failure of a daemon that ended by itself."""
    while all(child.is_running for child in children):
        children[0].changed.wait()
    failure = next(child for child in children if not child.is_running).failure()
    again = shlex.join(["massctl", "up", "--data", str(data)])
    failure.fix += (
        "; running jobs go on until their lease ends: to keep them, start"
        f" {again} again, with the same other options"
    )
    raise failure


def _stop_jobs(session: Session) -> None:
    """Cancel what is not over and wait for it; a second Ctrl-C stops the waiting."""
    try:
        Background(lambda: _cancel_all(session)).result()
    except KeyboardInterrupt:
        hint("not waiting for the jobs")
    except MassError as error:
        hint(str(error))


def _cancel_all(session: Session) -> None:
    from aimass.cli_list import LIVE_STATES
    from aimass.v1 import job_pb2

    states = [job_pb2.JobState.Value(f"JOB_STATE_{state}") for state in LIVE_STATES]
    with session.client() as client:
        jobs = client.list(states, limit=EVERY_JOB).jobs
        if jobs:
            hint(f"cancelling {len(jobs)} jobs (--keep-jobs leaves them; Ctrl-C: do not wait)")
        for job in jobs:
            with contextlib.suppress(MassError):  # it has just ended by itself
                client.cancel(job.id)
        for job in jobs:
            client.wait(job.id, timeout_s=JOBS_STOP_TIMEOUT_S)


def _stop_daemons(children: list[Child]) -> None:
    """Stop the agents, then the scheduler, so that the last reports still arrive."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # each stop has its own limit; leave nobody behind
    for child in reversed(children):
        child.stop()
