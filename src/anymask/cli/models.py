"""`anymask models`: the catalogue."""

import json
from typing import Annotated

import typer

EXAMPLES = """\
[bold]Examples[/bold]

  anymask models --commercial

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

    from rich.console import Console
    from rich.table import Table

    table = Table("name", "family", "can", "size", "licence", "commercial use", "installed", box=None, pad_edge=False)
    for entry in found:
        size = f"{entry.bytes / 1e6:.1f} MB"
        marks = ["yes" if flag else "no" for flag in (entry.commercial, entry.installed)]
        table.add_row(entry.name, entry.family, ", ".join(entry.tasks), size, entry.licence, *marks)
    Console().print(table)
