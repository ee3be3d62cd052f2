"""`anymask download`: a model's weights, before they are needed."""

from typing import Annotated

import typer

from anymask.cli.options import note

EXAMPLES = """\
[bold]Examples[/bold]

  anymask download sam_vit_b

  anymask download mobile_sam sam_hq_vit_b

What broke off is gone on with. ANYMASK_HOME moves the folder; ANYMASK_MIRROR is the address of a folder to ask instead.
"""


def download(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Names from [bold]anymask models[/bold].", show_default=False),
    ],
) -> None:
    """Fetch and verify the [bold]weights[/bold] of models, so that they run offline from then on."""
    from anymask import catalog
    from anymask.downloads import located

    for entry in [catalog.find(name) for name in names]:
        there = entry.installed
        path = located(entry)
        state = "ships with anymask" if entry.bundled else "there already, verified" if there else "verified"
        licence = entry.licence if entry.commercial else f"{entry.licence}, not for commercial use"
        note(f"{path}: {entry.name}, {state}; licence: {licence}")
