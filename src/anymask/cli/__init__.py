"""The command line: parse, call, print. One file for each command; what a command needs it imports when it runs."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from anymask.cli import cutout, download, evaluate, everything, export, models, segment, serve, track, train
from anymask.errors import AnymaskError

app = typer.Typer(
    name="anymask",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# One file's functions in the order in which a newcomer meets them.
app.command("cutout", epilog=cutout.EXAMPLES)(cutout.cutout)
app.command("segment", epilog=segment.EXAMPLES)(segment.segment)
app.command("everything", epilog=everything.EXAMPLES)(everything.everything)
app.command("track", epilog=track.EXAMPLES)(track.track)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("models", epilog=models.EXAMPLES)(models.models)
app.command("download", epilog=download.EXAMPLES)(download.download)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.add_typer(train.app, name="train")


def _version(wanted: bool) -> None:
    if wanted:
        from anymask import __version__

        typer.echo(f"anymask {__version__}")
        raise typer.Exit


@app.callback()
def anymask(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Masks out of pictures: the subject cut out, a mask for a click or a box, everything at once."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave: 0 done, 1 some pictures failed, 2 refused in a sentence, 130 Ctrl-C."""
    try:
        app(arguments, prog_name="anymask")
    except AnymaskError as error:
        print(f"anymask: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
