"""massctl version, schema, completion: about massctl itself."""

import click

from aimass import __version__
from aimass.cli_base import Command, Session, common_options, output_option
from aimass.output import as_json, print_value


@click.command(
    cls=Command,
    examples="""
    massctl version
    massctl version --server
    massctl version --server -o json
    """,
)
@click.option("--server", is_flag=True, help="Ask the scheduler as well.")
@output_option("table", "json", "jsonl", "yaml", "name")
@common_options
@click.pass_obj
def version(session: Session, server: bool, form: str) -> None:
    """Print the version of this client, and what the scheduler says of itself."""
    view = {"apiVersion": "aimass/v1", "kind": "Version", "client": __version__}
    scheduler = {}
    if server:
        from aimass.views import info_view

        with session.client() as client:
            scheduler = info_view(client.info())
    if form in ("json", "jsonl", "yaml"):
        print_value({**view, "scheduler": scheduler} if server else view, form)
        return
    print(__version__ if form == "name" else f"massctl {__version__}")
    for key, value in scheduler.items():
        print(f"scheduler {key}: {value}")


@click.command(
    cls=Command,
    examples="""
    massctl schema > aimass-job.schema.json
    massctl schema | jq .properties.resources
    massctl schema | check-jsonschema --schemafile /dev/stdin train.yaml
    """,
)
@common_options
def schema() -> None:
    """Print the JSON Schema of job files, for editors and checkers."""
    from aimass.jobfile import json_schema

    print(as_json(json_schema(), indent=2))


@click.command(
    cls=Command,
    examples="""
    eval "$(massctl completion bash)"
    massctl completion zsh > ~/.zfunc/_massctl
    massctl completion fish > ~/.config/fish/completions/massctl.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell; it completes commands, options and live job ids."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, f"click knows {shell}"
    root = ctx.find_root().command
    print(kind(root, {}, "massctl", "_MASSCTL_COMPLETE").source())
