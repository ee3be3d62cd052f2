"""pocket's encoder in int8."""

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="exporting needs the torch extra")

from openvino import Core  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from anymask import Segmenter  # noqa: E402
from anymask.catalog import find  # noqa: E402
from anymask.cli import app  # noqa: E402
from anymask.errors import MissingExtraError, WeightsError  # noqa: E402
from anymask.networks.pocket import Pocket  # noqa: E402
from anymask.networks.pocket_encoder import ConvNorm  # noqa: E402
from anymask.runtime.checkpoint import STEP, read_state_dict  # noqa: E402
from anymask.runtime.convert import convert_parts  # noqa: E402
from anymask.runtime.torch import TorchSegmentEngine  # noqa: E402

ASSETS = Path(__file__).parents[1] / "assets"
ON_BOARD = find("pocket").path / "weights.safetensors"


def test_on_board_the_encoders_convolutions_after_the_stem_are_int8_and_nothing_else():
    network = Pocket()
    layers = [name for name, module in network.encoder.named_modules() if isinstance(module, ConvNorm)]
    layers = [name for name in layers if not name.startswith("stem.")]
    content = load_file(ON_BOARD)
    numbers = {name for name, tensor in content.items() if tensor.dtype == torch.int8}
    assert numbers == {f"encoder.{name}.0.weight" for name in layers}
    assert {name for name in content if name.startswith(STEP)} == {STEP + name for name in numbers}
    for name in numbers:
        largest = content[name].flatten(1).abs().amax(1)
        assert largest.max() == 63 and (largest > 32).all(), "seven bits, and all of them used"
    network.load_folded(read_state_dict(ON_BOARD))


def test_int8_without_its_steps_is_refused(tmp_path):
    content = load_file(ON_BOARD)
    name = next(name for name in content if name.startswith(STEP))
    for step in (content[name][:-1], content[name].flatten(), None):
        changed = {key: tensor for key, tensor in content.items() if key != name or step is not None}
        save_file(changed if step is None else changed | {name: step}, tmp_path / "weights.safetensors")
        with pytest.raises(WeightsError, match="is a quantised checkpoint"):
            read_state_dict(tmp_path / "weights.safetensors")


def test_without_nncf_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "nncf", None)
    monkeypatch.delitem(sys.modules, "anymask.training.quantization", raising=False)
    for command in (["quantize", str(ON_BOARD)], ["pocket", "--int8"]):
        result = CliRunner().invoke(app, ["train", *command, "--data", str(ASSETS), "-o", str(tmp_path / "out")])
        assert isinstance(result.exception, MissingExtraError)
        assert 'pip install "anymask[int8]"' in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_quantized_export_agrees_with_the_network(tmp_path, monkeypatch):
    """Quantized anew from three pictures: the same weights, within a step, and an encoder that sees nearly the same as
    the network that PyTorch runs with them. The decoder's graphs on board stand for half a minute's conversion."""
    pytest.importorskip("nncf", reason="quantizing needs the int8 extra")

    def encoder_only(spec, parts):
        yield next(convert_parts(spec, parts))
        for name in ("decoder", "masked"):
            yield name, Core().read_model(ON_BOARD.with_name(f"{name}.xml"), ON_BOARD)

    monkeypatch.setattr("anymask.training.export.convert_parts", encoder_only)
    folder = tmp_path / "int8"
    result = CliRunner().invoke(app, ["train", "quantize", str(ON_BOARD), "--data", str(ASSETS), "-o", str(folder)])
    assert result.exception is None
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16e6
    before, after = load_file(ON_BOARD), load_file(folder / "weights.safetensors")
    for name, tensor in before.items():
        if tensor.dtype == torch.int8:
            assert (tensor.int() - after[name].int()).abs().max() <= 1
            torch.testing.assert_close(before[STEP + name], after[STEP + name], rtol=0.01, atol=0)
        elif not name.startswith("graph."):
            assert torch.equal(tensor, after[name])

    picture = next(ASSETS.glob("*.jpg"))
    board = Segmenter("pocket", "cpu", "fp32").encode(picture)
    anew = Segmenter("pocket", "cpu", "fp32", folder).encode(picture)
    a, b = (image.predict(box=(100, 60, 400, 300)).array[0] for image in (board, anew))
    assert (a & b).sum() > 0.9 * (a | b).sum() > 0
    plain = TorchSegmentEngine(find("pocket"), folder / "weights.safetensors", "cpu", "fp32")
    exact = Segmenter.over(plain).encode(picture)
    for image in (board, anew):
        for found, expected in zip(image.embedding, map(np.asarray, exact.embedding), strict=True):
            error = np.abs(found - expected).mean() / expected.std()
            assert 0.005 < error < 0.08, "of another arithmetic, and no more than that"
