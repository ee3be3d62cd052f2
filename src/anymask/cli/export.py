"""`anymask export`: a model as files for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import note

EXAMPLES = """\
[bold]Examples[/bold]

  anymask export sam_vit_b

  anymask export mobile_sam --half --single-mask -o web/models

  anymask export sam_vit_l --weights finetuned.pth --format openvino
"""


def export(
    model: Annotated[str, typer.Argument(help="A name from [bold]anymask models[/bold].", show_default=False)],
    format: Annotated[str, typer.Option("--format", "-f", help="onnx or openvino.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to write; by default MODEL-FORMAT, here.")
    ] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="A checkpoint instead of the model's own.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Weights in fp16: half the size.")] = False,
    single_mask: Annotated[
        bool, typer.Option("--single-mask", help="ONNX: one mask a prompt, the best, instead of all.")
    ] = False,
) -> None:
    """Write a promptable model's encoder and decoder as ONNX or OpenVINO files (needs the extra [bold]export[/bold]).

    The ONNX decoder takes and gives what the one exported by Meta's package does, so that programs and web pages made
    for that run it. metadata.json says what each input and output is.
    """
    from anymask.export import export as write

    folder = write(model, out or Path(f"{model}-{format}"), format, weights=weights, half=half, single_mask=single_mask)
    for path in sorted(folder.iterdir()):
        note(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
