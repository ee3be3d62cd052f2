"""`anymask models`: the catalogue."""

import json
from typing import Annotated

import typer

EXAMPLES = """\
[bold]Examples[/bold]

  anymask models --commercial

  anymask models --family sam

  anymask models --installed --json
"""


def models(
    family: Annotated[str | None, typer.Option("--family", help="Only the models of this family.")] = None,
    commercial: Annotated[
        bool | None,
        typer.Option("--commercial/--non-commercial", help="Only those whose licence allows commercial use, or not."),
    ] = None,
    installed: Annotated[
        bool | None, typer.Option("--installed/--missing", help="Only those that are on this machine, or not.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """The models anymask knows, with their licences."""
    from anymask import catalog

    found = catalog.models(family, commercial, installed)
    if as_json:
        columns = ("name", "family", "description", "tasks", "licence", "commercial", "bytes", "installed")
        typer.echo(json.dumps([{name: getattr(entry, name) for name in columns} for entry in found], indent=2))
        return

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    console = Console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("family")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence")
    table.add_column("commercial", justify="center")
    table.add_column("installed", justify="center")
    if described := console.width >= 120:
        table.add_column("what it is", style="dim")
    for entry in found:
        row = [entry.name, entry.family, decimal(entry.bytes), entry.licence, _mark(entry.commercial)]
        table.add_row(*row, _mark(entry.installed), *([entry.description] if described else []))
    console.print(table)


def _mark(flag: bool) -> str:
    return "[green]yes[/green]" if flag else "[dim]no[/dim]"
