"""Models as files for other programs: ONNX, and OpenVINO's graphs as the CPU engine runs them."""

from importlib.util import find_spec
from pathlib import Path

from anymask.catalog import find
from anymask.downloads import located
from anymask.errors import FormatError, MissingExtraError, WeightsError
from anymask.export.metadata import describe, write_json
from anymask.hashes import checkpoint_sha256

FORMATS = {"onnx": ("torch", "onnx", "onnxscript"), "openvino": ("torch",)}
"""What each needs beyond the base install."""

__all__ = ["FORMATS", "export"]


def export(
    model: str,
    folder: str | Path,
    format: str = "onnx",
    *,
    weights: str | Path | None = None,
    half: bool = False,
    single_mask: bool = False,
) -> Path:
    """Write a promptable model to a folder, and a metadata.json that says what each input and output is.

    onnx: encoder.onnx and decoder.onnx (opset 17; constants beyond 2 GB in a .data file beside). The decoder has the
    names, shapes and meaning of the one that Meta's package exports, so that what was written for that runs it; it also
    takes several prompts at once. openvino: encoder.xml, decoder.xml and what else `Segmenter(model, weights=folder)`
    opens, each with its .bin file.

    Args:
        model: a name from the catalogue.
        folder: where to write; made if need be, files of the same names are replaced.
        format: onnx or openvino.
        weights: a checkpoint to use instead of the model's own, which is downloaded when it is missing.
        half: constants in fp16, half the size. Inputs, outputs and arithmetic stay float32 unless the runtime chooses
            otherwise.
        single_mask: the ONNX decoder returns one mask a prompt instead of all: the best candidate by predicted IoU for
            one or two points (the padding point counts), else the answer to a clear prompt, as Meta's
            `--return-single-mask`.

    Returns the folder.

    Raises:
        ModelError: there is no such model, or it takes no prompts.
        FormatError: there is no such format, it has no `single_mask`, the model has no decoder, or the folder cannot be
            written.
        WeightsError: the weights are missing, damaged or another model's.
        MissingExtraError: torch, onnx or onnxscript is not installed.
    """
    spec, folder = find(model, "segment"), Path(folder)
    if format not in FORMATS:
        raise FormatError(f"There is no export format {format!r}; choose {' or '.join(FORMATS)}.")
    if spec.instances:
        raise FormatError(f"{spec.name} cannot be exported: its prompts are answered outside of its network.")
    if single_mask and format != "onnx":
        raise FormatError(f"A single mask can be chosen by an ONNX decoder only, not by {format}.")
    if missing := [package for package in FORMATS[format] if find_spec(package) is None]:
        raise MissingExtraError(
            f'Exporting to {format} needs {" and ".join(missing)}, of the export extra: pip install "anymask[export]".'
        )
    checkpoint = located(spec) if weights is None else Path(weights)
    checkpoint = checkpoint / "weights.safetensors" if checkpoint.is_dir() else checkpoint
    if not checkpoint.exists():
        raise WeightsError(f"The weights of {spec.name} are not at {checkpoint}.")

    from anymask.runtime.parts import load_parts

    parts = load_parts(spec, checkpoint)
    about = describe(spec, checkpoint_sha256(checkpoint), format, half)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if format == "onnx":
            from anymask.export.onnx import write_onnx

            graphs = write_onnx(spec, parts, folder, about, half, single_mask)
        else:
            from anymask.export.openvino import write_openvino

            graphs = write_openvino(spec, parts, folder, half)
        write_json(folder / "metadata.json", {**about, "graphs": graphs})
    except OSError as error:
        raise FormatError(f"{folder} cannot be written ({error.strerror}).") from error
    return folder
