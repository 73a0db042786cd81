"""What every sub-command of massctl is made of: the session, common options, help with examples.

Only click and small modules are imported here, so that no `--help` waits for gRPC or pydantic.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from aimass import amounts, units

if TYPE_CHECKING:
    from aimass.client import Client

Function = TypeVar("Function", bound=Callable[..., Any])

LISTING_FORMATS = ("table", "wide", "json", "jsonl", "yaml", "name")


@dataclass
class Session:
    """What the options common to all sub-commands said."""

    address: str | None = None
    request_timeout_ms: int = 10_000
    colour: str = "auto"
    argv: tuple[str, ...] = ()  # the words after massctl

    def client(self) -> "Client":
        """Open a connection; loads gRPC."""
        from aimass.client import Client

        return Client(self.address, timeout_s=max(1, self.request_timeout_ms) / 1000)


class Command(click.Command):
    """A sub-command whose help ends with examples."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are, without wrapping them."""
        write_examples(formatter, self.examples)


class Group(click.Group):
    """Sub-commands of a sub-command, with help that ends with examples."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """No word at all asks for the help."""
        return super().parse_args(ctx, args or ["--help"])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are."""
        write_examples(formatter, self.examples)


def write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    """Add a section with one example a line."""
    with formatter.section("Examples"):
        for line in examples.strip().splitlines():
            formatter.write(f"  {line.strip()}\n")


class JobCommand(Command):
    """A sub-command that takes a job file, or a command of its own after `--`.

    click drops the `--`, which here tells the two apart, so the arguments are split before it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what follows the first `--` for `command_after_dashes`."""
        if "--" in args:
            split = args.index("--")
            ctx.meta["aimass.command"] = args[split + 1 :]
            args = args[:split]
        return super().parse_args(ctx, args)


def command_after_dashes() -> list[str] | None:
    """Give what followed `--` on the command line; None when there was no `--`."""
    command: list[str] | None = click.get_current_context().meta.get("aimass.command")
    return command


class Parsed(click.ParamType[Any]):
    """A command-line value made by a parser that raises ValueError with what is allowed."""

    def __init__(self, name: str, parse: Callable[[object], Any]) -> None:
        self.name = name
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn text into the value; what is no text is one already."""
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)


class Unit(click.ParamType[int]):
    """A command-line value with a unit, checked by the same parser as in a job file."""

    def __init__(self, name: str, parse: Callable[[object], int]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Turn text into the integer; a default is one already."""
        if isinstance(value, int):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)


def _decimal(parse: Callable[[object], int]) -> Callable[[object], int]:
    def parse_text(text: object) -> int:
        try:
            return parse(float(str(text)))
        except ValueError:
            return parse(None)  # says what is allowed

    return parse_text


def _text(value: object) -> str:
    """Refuse what a shell makes of a variable that is not set."""
    if not str(value).strip():
        raise ValueError("a value: give one, or leave it out")
    return str(value)


def _above_0(parse: Callable[[object], int]) -> Callable[[object], int]:
    def parse_more(text: object) -> int:
        value = parse(text)
        if not value:
            raise ValueError("more than nothing: give more, or leave the flag out")
        return value

    return parse_more


GPUS = Unit("gpus", _decimal(units.gpu_milli))
CPUS = Unit("cpus", _decimal(units.cpu_milli))
MEMORY = Unit("memory", units.memory_mib)
DURATION = Unit("duration", units.duration_ms)
SPAN = Parsed("span", units.span_ms)  # may be much longer than a day
TEXT = Parsed("text", _text)  # not empty
LONG = Parsed("span", _above_0(units.span_ms))  # a span that cannot be nothing
SHARE = Unit("memory", _above_0(units.memory_mib))
TIME = Parsed("time", lambda text: amounts.time_ms(text, time.time_ns() // 1_000_000))
AMOUNTS = Parsed("amounts", amounts.parse_amounts)
CELLS = Parsed("cells", amounts.parse_cells)
PRIORITIES = Parsed("range", amounts.priority_range)


def _remember(field: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Make the callback that stores an option in the session; both levels of commands have it."""

    def store(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
        is_from_env = ctx.get_parameter_source(option.name or "") is ParameterSource.ENVIRONMENT
        if value is not None and not (is_from_env and ctx.parent):  # the outer level has read it
            setattr(ctx.ensure_object(Session), field, value)
        return value

    return store


def common_options(function: Function) -> Function:
    """Add the options that every sub-command and massctl itself understand."""
    for option in (
        click.option(
            "--request-timeout",
            type=DURATION,
            envvar="AIMASS_REQUEST_TIMEOUT",
            metavar="TIME",
            expose_value=False,
            callback=_remember("request_timeout_ms"),
            help="How long one request may take, retries included. Default: 10s.",
        ),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_remember("colour"),
            help="Colours: auto (terminal only), always, never.",
        ),
        click.option(
            "--address",
            metavar="HOST:PORT",
            expose_value=False,
            callback=_remember("address"),
            help="The scheduler. Default: $AIMASS_ADDRESS, else 127.0.0.1:6277.",
        ),
    ):
        function = option(function)
    return function


def output_option(*formats: str) -> Callable[[Function], Function]:
    """Add `-o`; the first format is the default."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(formats),
        default=formats[0],
        help=f"How to print. Default: {formats[0]}.",
    )


def job_argument(name: str = "job", **options: Any) -> Callable[[Function], Function]:
    """Add an argument that names a job, completed with live ids."""

    return _live_argument(name, "job_ids", {"metavar": "JOB", **options})


def node_argument(name: str = "nodes", **options: Any) -> Callable[[Function], Function]:
    """Add an argument that names nodes, completed with live ids."""
    return _live_argument(name, "node_ids", {"metavar": "NODE…", **options})


def queue_argument(name: str = "name", **options: Any) -> Callable[[Function], Function]:
    """Add an argument that names a queue, completed with live names."""
    return _live_argument(name, "queue_names", {"metavar": "NAME", **options})


def window_argument(name: str = "name", **options: Any) -> Callable[[Function], Function]:
    """Add an argument that names a reservation, completed with live names."""
    return _live_argument(name, "window_names", {"metavar": "NAME", **options})


def _live_argument(
    name: str, source: str, options: dict[str, Any]
) -> Callable[[Function], Function]:
    """Add an argument completed by a function of aimass.completion."""
    return click.argument(name, shell_complete=live(source), type=TEXT, **options)


def live(source: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Complete with live names from a function of aimass.completion."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> Any:
        from aimass import completion

        return getattr(completion, source)(incomplete)

    return complete
