"""`anymask models`: the catalogue."""

import json
from typing import Annotated

import typer

from anymask.errors import ModelError

EXAMPLES = """\
[bold]Examples[/bold]

  anymask models --commercial

  anymask models --family sam

  anymask models --finds subject

  anymask models --installed --json
"""

FINDS = {"segment": "prompts", "matte": "subject", "trimap": "edges"}


def models(
    family: Annotated[str | None, typer.Option("--family", help="Only the models of this family.")] = None,
    finds: Annotated[
        str | None,
        typer.Option("--finds", help="Only those for: prompts (what is pointed at), subject (cut-outs) or edges."),
    ] = None,
    commercial: Annotated[
        bool | None,
        typer.Option(
            "--commercial/--non-commercial",
            help="Only those whose licence allows commercial use, in programs that are not open too; or the others.",
        ),
    ] = None,
    installed: Annotated[
        bool | None, typer.Option("--installed/--missing", help="Only those that are on this machine, or not.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """The models anymask knows, with their licences."""
    from anymask import catalog

    if finds is not None and finds not in FINDS.values():
        raise ModelError(f"Models find {', '.join(FINDS.values())}, not {finds!r}.")
    found = catalog.models(family, commercial, installed)
    found = [entry for entry in found if finds is None or finds in [FINDS[task] for task in entry.tasks]]
    if as_json:
        columns = ("name", "family", "description", "tasks", "licence", "commercial", "copyleft", "bytes", "installed")
        typer.echo(json.dumps([{name: getattr(entry, name) for name in columns} for entry in found], indent=2))
        return

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    console = Console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    wide = console.width >= 100
    table.add_column("name", style="bold", no_wrap=True)
    if wide:
        table.add_column("finds", no_wrap=True, min_width=16)
    table.add_column("size", justify="right", no_wrap=True, min_width=8)
    table.add_column("licence", no_wrap=True, overflow="ellipsis", max_width=console.width // 5 - 4)
    table.add_column("commercial", justify="center", no_wrap=True, min_width=10)
    table.add_column("installed", justify="center", no_wrap=True, min_width=9)
    if described := console.width >= 140:
        table.add_column("what it is", style="dim", no_wrap=True, overflow="ellipsis", max_width=console.width - 112)
    for entry in found:
        row = [entry.name, *([", ".join(FINDS[task] for task in entry.tasks)] if wide else [])]
        row += [decimal(entry.bytes) if entry.bytes else "", entry.licence]
        table.add_row(
            *row,
            "[yellow]copyleft[/yellow]" if entry.copyleft else _mark(entry.commercial),
            _mark(entry.installed),
            *([entry.description] if described else []),
        )
    console.print(table)


def _mark(flag: bool) -> str:
    return "[green]yes[/green]" if flag else "[dim]no[/dim]"
