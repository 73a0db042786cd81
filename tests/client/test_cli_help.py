"""Help: complete, with examples, and loaded without anything heavy."""

import subprocess
import sys

import click
import pytest

from aimass import cli
from tests.client.conftest import Massctl, massctl_env

HEAVY = ("grpc", "google", "pydantic", "yaml", "torch", "numpy", "asyncio", "redis", "rich")
ALL = [(name,) for name in cli.COMMANDS] + [("journal", "verify"), ("journal", "dump"), ()]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_has_three_examples_that_name_the_command(
    massctl: Massctl, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    done = massctl(*words, "--help")
    text = done.stdout.decode()
    assert done.returncode == 0
    examples = text.partition("Examples:\n")[2].strip().splitlines()
    assert len(examples) >= 3
    name = "ls" if words == ("ps",) else " ".join(words)
    assert all(f"massctl {name}".strip() in example for example in examples)


@pytest.mark.parametrize("words", [(), ("submit",), ("ls",), ("up",), ("why",)], ids=" ".join)
def test_help_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    code = f"import sys; sys.argv = {['massctl', *words, '--help']!r}\n"
    code += "from aimass.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=massctl_env(), capture_output=True, text=True, check=True
    )
    assert set(HEAVY).isdisjoint(done.stderr.split())


def test_listing_jobs_loads_no_file_format() -> None:
    code = "import sys, aimass.cli_list, aimass.client, aimass.tables\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=massctl_env(), capture_output=True, text=True, check=True
    )
    assert {"pydantic", "yaml", "torch", "numpy"}.isdisjoint(done.stdout.split())


def test_the_table_of_commands_names_what_exists() -> None:
    context = click.Context(cli.massctl)
    for name in cli.COMMANDS:
        command = cli.massctl.get_command(context, name)
        assert command is not None
        assert command.name in (name, "ls")
