"""massctl: the command line. This file parses, reports errors and decides exit codes.

The sub-commands live in cli_*.py and are loaded when they are run, so that `--help` stays fast.
"""

import contextlib
import difflib
import errno
import importlib
import itertools
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import click

from aimass import __version__
from aimass.background import leave_now, leave_on_interrupt
from aimass.cli_base import Session, common_options, write_examples
from aimass.errors import InvalidRequest, MassError
from aimass.output import as_json, clean, hint, paint, wants_colour

# name -> (where it is, its line in the help). An alias is a second row with an empty line.
COMMANDS = {
    "up": ("cli_up:up", "Run a whole one-machine cluster in the foreground"),
    "submit": ("cli_submit:submit", "Submit a job: a job file, or a command after --"),
    "run": ("cli_submit:run", "Submit a job, follow its output, return its exit code"),
    "ls": ("cli_list:ls", "List jobs"),
    "ps": ("cli_list:ls", ""),
    "show": ("cli_jobs:show", "Show everything about one job"),
    "why": ("cli_why:why", "Explain why a job waits and what would start it"),
    "plan": ("cli_why:plan", "Say what would happen to a job, without submitting it"),
    "history": ("cli_why:history", "Tell everything that happened to a job"),
    "logs": ("cli_logs:logs", "Print a job's output"),
    "cancel": ("cli_jobs:cancel", "Stop jobs: SIGTERM, grace, SIGKILL"),
    "hold": ("cli_control:hold", "Keep waiting jobs from starting"),
    "release": ("cli_control:release", "Let held jobs start"),
    "requeue": ("cli_control:requeue", "Stop active jobs, which queue again"),
    "suspend": ("cli_control:suspend", "Stop active jobs, which are then held"),
    "update": ("cli_control:update", "Change jobs: priority, queue, limits of time"),
    "scale": ("cli_control:scale", "Let an elastic job ask for another number of shards"),
    "wait": ("cli_jobs:wait", "Wait until jobs are over, return their exit code"),
    "nodes": ("cli_list:nodes", "List nodes and their devices"),
    "cordon": ("cli_admin:cordon", "Let nothing new onto nodes"),
    "uncordon": ("cli_admin:uncordon", "Let jobs onto nodes again"),
    "drain": ("cli_admin:drain", "Empty nodes, now or by a deadline"),
    "reserve": ("cli_admin:reserve", "Reserve nodes for people or for maintenance"),
    "queue": ("cli_queue:queue", "Make, change, list and remove queues"),
    "share": ("cli_queue:share", "Show who uses what share of the cluster"),
    "journal": ("cli_journal:journal", "Check or print a scheduler's journal"),
    "policy": ("cli_policy:policy", "List and describe scheduling policies"),
    "sim": ("cli_sim:sim", "Try packing policies on a cluster and pods from files"),
    "schema": ("cli_meta:schema", "Print the JSON Schema of job files"),
    "version": ("cli_meta:version", "Print the version, and the scheduler's with --server"),
    "completion": ("cli_meta:completion", "Print the completion script of a shell"),
}
CLOSE_ENOUGH = 0.7  # of two words, by difflib: below it a suggestion is a guess
OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF)
EXAMPLES = """
massctl up --simulate 4xH100-SXM5-80GB
massctl run --gpus 1 -- python train.py
massctl why @last
"""


class _ReaderLeft(Exception):
    """A broken pipe, hidden from click, which would end the process in its own way."""


@contextlib.contextmanager
def _hiding_broken_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise _ReaderLeft from None


class LazyGroup(click.Group):
    """Sub-commands by table: listed without being imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order of the table."""
        return [name for name, (_, line) in COMMANDS.items() if line]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one sub-command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"aimass.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the sub-command, or say which one was probably meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=CLOSE_ENOUGH)
            known = f"massctl {close[0]}" if close else "massctl --help"
            meant = f"; did you mean {close[0]}?" if close else ""
            raise InvalidRequest(f"no command {args[0][:80]!r}{meant}", fix=known)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse; `--help` prints here."""
        with _hiding_broken_pipes():
            return super().make_context(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """No word at all asks for the help."""
        return super().parse_args(ctx, args or ["--help"])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command."""
        with _hiding_broken_pipes():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table's lines."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items() if line])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(formatter, EXAMPLES)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@common_options
@click.version_option(__version__, prog_name="massctl", message="%(prog)s %(version)s")
def massctl() -> None:
    """Run training and batch jobs on the team's own GPUs."""


def main() -> None:
    """Run massctl and leave with its exit code. Nothing but AIMASS_DEBUG=1 shows a traceback."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own log lines are not for users
    leave_on_interrupt()
    if sys.stdout is None:  # closed by the shell: `massctl ls >&-`
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has left: `massctl ls | head -1`
        _forget_output()
        code = 141
    except OSError as error:  # of the last lines, which only now left our buffer
        _print_error(_of_os_error(error), sys.argv[1:], Session())
        _forget_output()
        code = 1
    if code == 130:  # a call may still be under way in another thread
        leave_now(code)
    sys.exit(code)


def _forget_output() -> None:
    """Let what cannot be written go nowhere, so that leaving does not fail on it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(argv: Sequence[str]) -> int:
    """Run one command line and give its exit code; errors are printed to stderr."""
    session = Session(argv=tuple(argv))
    try:
        result = massctl.main(list(argv), prog_name="massctl", standalone_mode=False, obj=session)
        return result if isinstance(result, int) else 0
    except MassError as error:
        _print_error(error, argv, session)
        return error.exit_code
    except click.UsageError as error:
        _print_error(_of_usage_error(error), argv, session)
        return 2
    except click.ClickException as error:
        _print_error(MassError(error.format_message()), argv, session)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except _ReaderLeft:
        raise BrokenPipeError from None
    except OSError as error:
        if _is_of_output(error):
            raise
        _print_error(_of_os_error(error), argv, session)
        return 1
    except Exception as error:
        if os.environ.get("AIMASS_DEBUG"):
            traceback.print_exc()
        what = f"internal: {type(error).__name__}: {error}"
        fix = "this is a bug; set AIMASS_DEBUG=1 and run it again for a traceback to report"
        _print_error(MassError(what, fix=fix), argv, session)
        return 1


def _of_usage_error(error: click.UsageError) -> InvalidRequest:
    if isinstance(error, click.NoSuchOption):
        name, known = error.option_name, error.possibilities or ()
        close = difflib.get_close_matches(name, known, cutoff=CLOSE_ENOUGH)
        error = click.NoSuchOption(name, possibilities=close, ctx=error.ctx)
    where = error.ctx.command_path if error.ctx else "massctl"
    message = " ".join(error.format_message().split())  # click lists choices one a line
    return InvalidRequest(message, fix=f"{where} --help")


def _is_of_output(error: OSError) -> bool:
    """Say whether writing to stdout failed: such an error names no file."""
    return error.filename is None and error.errno in OUTPUT_ERRORS


def _of_os_error(error: OSError) -> MassError:
    """Say what the system refused; that is an ordinary bad day, not a bug."""
    reason = error.strerror or str(error)
    if _is_of_output(error):
        return MassError(f"cannot write the output: {reason}", fix="write it to another place")
    if error.filename is not None:
        path = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "a file"
        return MassError(f"cannot use {path}: {reason}", fix="check the path and its permissions")
    try:
        os.getcwd()
    except OSError:
        return MassError("the current directory is gone", why=reason, fix="cd to one that exists")
    return MassError(f"the system refused: {reason}", fix="set AIMASS_DEBUG=1 for a traceback")


def wants_json(argv: Sequence[str]) -> bool:
    """Say whether errors should be JSON. Read from the raw words: parsing may be what failed."""
    words = [*argv[: argv.index("--")]] if "--" in argv else [*argv]
    pairs = itertools.pairwise([*words, ""])
    forms = ("json", "jsonl")
    return any(
        (word in ("-o", "--output") and value in forms)
        or word in [f"{flag}{form}" for flag in ("-o", "--output=") for form in forms]
        for word, value in pairs
    )


def _print_error(error: MassError, argv: Sequence[str], session: Session) -> None:
    if wants_json(argv):
        hint(as_json(error.as_json()))
        return
    text = "\n".join(clean(line) for line in str(error).split("\n"))
    if wants_colour(session.colour, sys.stderr):
        text = text.replace("error:", paint("error:", "red"), 1)
    hint(text)


if __name__ == "__main__":
    main()
