"""Reading checkpoints of any kind, refusing what is not one, and telling whose they are."""

import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")

from parity import shapes  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from anymask.catalog import find, models  # noqa: E402
from anymask.errors import WeightsError  # noqa: E402
from anymask.runtime.checkpoint import check, identify, layouts, read_state_dict  # noqa: E402

STATE = {
    "a.weight": torch.arange(6.0).reshape(2, 3),
    "a.bias": torch.ones(2),
    "norm.num_batches_tracked": torch.tensor(7),
}


def hollow(layout: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Tensors of these shapes that take no room."""
    return {name: torch.zeros(()).expand(shape) for name, shape in layout.items()}


def same(state: dict[str, Any]) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.bin"


def write_new(path: Path, content: Any = STATE) -> None:
    torch.save(content, path)


def write_legacy(path: Path, content: Any = STATE) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path, content: Any = STATE) -> None:
    save_file(content, path)


FORMATS = pytest.mark.parametrize("write", [write_new, write_legacy, write_safetensors])


def test_a_safetensors_file_whose_length_begins_as_a_pickle_does(path):
    for more in range(0, 2100, 8):
        save_file(STATE, path, metadata={"padding": "x" * more})
        if path.read_bytes().startswith(b"\x80"):
            break
    assert path.read_bytes().startswith(b"\x80")
    assert same(read_state_dict(path))


@FORMATS
def test_every_format_is_told_by_its_content(path, write):
    write(path)
    assert same(read_state_dict(path))


@FORMATS
def test_a_checkpoint_in_an_archive(tmp_path, write):
    write(tmp_path / "weights.pt")
    with zipfile.ZipFile(tmp_path / "weights.pt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "weights.pt", "weights/weights.pt")
        archive.writestr("__MACOSX/weights/._weights.pt", b"what a Mac adds")
        archive.writestr("README.md", b"")
    assert same(read_state_dict(tmp_path / "weights.pt.zip"))


@pytest.mark.parametrize("names", [[], ["readme.txt"], ["a.pt", "b.pt"]])
def test_an_archive_without_just_one_checkpoint_is_refused(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    with pytest.raises(WeightsError, match=r"weights\.bin is a zip archive without a checkpoint, or with several"):
        read_state_dict(path)


@pytest.mark.parametrize("container", ["model", "state_dict", "average"])
def test_what_training_puts_around_is_taken_off(path, container):
    write_new(path, {container: STATE, "optimizer": {"state": {0: torch.ones(1)}}, "epoch": 3})
    assert same(read_state_dict(path))


def test_the_average_of_a_run_comes_before_its_last_step(path):
    write_new(path, {"network": {}, "model": {"a": torch.zeros(1)}, "average": STATE})
    assert same(read_state_dict(path))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_are_taken_off(path, prefix):
    write_new(path, {prefix + name: value for name, value in STATE.items()})
    assert same(read_state_dict(path))
    write_new(path, {prefix + "a": torch.ones(1), "b": torch.ones(1)})
    assert read_state_dict(path).keys() == {prefix + "a", "b"}, "only where all names have it"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@FORMATS
def test_floats_become_float32(path, write, dtype):
    write(path, {name: value.to(dtype) if value.is_floating_point() else value for name, value in STATE.items()})
    state = read_state_dict(path)
    assert same(state)
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


class Malice:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("kind", ["new", "legacy", "pickle", "archive"])
def test_a_pickle_that_wants_more_is_refused_and_not_executed(path, tmp_path, kind):
    target = tmp_path / "executed"
    content = {**STATE, "extra": Malice(target)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content["extra"]))
    else:
        (write_legacy if kind == "legacy" else write_new)(path, content)
    if kind == "archive":
        inner = path.rename(tmp_path / "weights.pt")
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inner, "weights.pt")
    with pytest.raises(WeightsError, match=r"weights\.bin (wants \w+\.mkdir|is a pickle of something else) .*refused"):
        read_state_dict(path)
    assert not target.exists()
    if kind != "archive":  # and it is no empty threat
        torch.load(path, weights_only=False) if kind != "pickle" else pickle.loads(path.read_bytes())
        assert target.exists()


def test_a_pickled_module_is_refused_by_name_in_the_old_format(path):
    """In the new one its tensors are read (`test_pickled.py`)."""
    write_legacy(path, torch.nn.Linear(2, 2))
    with pytest.raises(WeightsError, match=r"wants torch\.nn\.modules\.linear\.Linear and was refused"):
        read_state_dict(path)


def test_a_torchscript_program_is_refused(path):
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), path)
    with pytest.raises(WeightsError, match="is a TorchScript program and was refused"):
        read_state_dict(path)


@FORMATS
def test_a_truncated_file_is_said_to_be_damaged(path, write):
    write(path, {**STATE, "long": torch.ones(1000)})
    whole = path.read_bytes()
    for length in (9, 20, 100, len(whole) // 2, len(whole) - 60, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"weights\.bin is damaged or cut short"):
            read_state_dict(path)


def test_a_flipped_bit_in_the_header_is_damage(path):
    write_safetensors(path)
    data = bytearray(path.read_bytes())
    data[20] ^= 255
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="is damaged"):
        read_state_dict(path)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"<html>Not found</html>", b"version https://git-lfs.github.com/spec/v1"]
)
def test_what_is_no_checkpoint(path, content):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="neither a PyTorch checkpoint nor"):
        read_state_dict(path)


def test_no_file_and_a_folder(path, tmp_path):
    with pytest.raises(WeightsError, match=r"weights\.bin does not exist"):
        read_state_dict(path)
    with pytest.raises(WeightsError):
        read_state_dict(tmp_path)


@pytest.mark.parametrize(
    "content", [[torch.ones(1)], torch.ones(2), {}, {0: torch.ones(1)}, {"a": 3}, {"model": {"a": [1]}}]
)
def test_tensors_without_names(path, content):
    write_new(path, content)
    with pytest.raises(WeightsError, match="is not a checkpoint of named tensors"):
        read_state_dict(path)


def test_quantised_checkpoints_are_named_as_such(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch gives them up
        quantised = torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
        linear = (quantised, torch.ones(2))
    for state in (
        {"a.weight": torch.ones(2, 2, dtype=torch.int8), "a.scale": torch.ones(1)},
        {"a.weight": quantised},
        {"a._packed_params._packed_params": linear, "a.scale": torch.ones(1)},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_new(path, state)
        with pytest.raises(WeightsError, match="is a quantised checkpoint, which is not supported"):
            read_state_dict(path)


def test_pocket_as_it_is_shipped_and_as_it_is_trained():
    pocket = find("pocket")
    shipped = read_state_dict(pocket.path / "weights.safetensors")
    assert identify(shipped) == "pocket"
    check(shipped, pocket, Path("x"))
    trained = hollow(layouts(pocket)[0])
    assert trained.keys() != shipped.keys()
    check(trained, pocket, Path("x"))


PUBLISHED = {entry.name: entry.name for entry in models() if "segment" in entry.tasks and not entry.bundled} | {
    "u2net": "u2net",
    "u2netp": "u2netp",
    "u2net_cloth_seg": "u2net_cloth_seg",
    "isnet": "isnet-general-use",
    "modnet": "modnet",
    "birefnet": "birefnet-general",
    "birefnet_lite": "birefnet-general-lite",
}


@pytest.mark.parametrize("manifest", PUBLISHED)
def test_official_checkpoints_are_known_by_their_tensors(manifest):
    state = hollow(shapes(manifest))
    assert identify(state) == PUBLISHED[manifest], "the first of the models that are the same network"
    check(state, find(PUBLISHED[manifest]), Path("x"))


def test_models_of_one_network_take_each_others_checkpoints():
    check(hollow(shapes("isnet")), find("rmbg-1.4"), Path("x"))
    check(hollow(shapes("birefnet")), find("bria-rmbg"), Path("x"))
    with pytest.raises(WeightsError, match=r"it looks like u2net: use BackgroundRemover\('u2net', weights"):
        check(hollow(shapes("u2net")), find("birefnet-general"), Path("x"))


def test_another_models_checkpoint_says_whose_it_is(path):
    write_new(path, hollow(shapes("sam_vit_l")))
    with pytest.raises(WeightsError) as caught:
        check(read_state_dict(path), find("sam_vit_b"), path)
    text = str(caught.value)
    assert text.startswith(f"{path} is not a checkpoint of sam_vit_b: 168 unexpected (")
    assert re.search(
        r"\d+ of another shape \(image_encoder.pos_embed \[1, 64, 64, 1024\] instead of \[1, 64, 64, 768\], ", text
    )
    assert text.endswith("; it looks like sam_vit_l: use Segmenter('sam_vit_l', weights=...).")


def test_a_checkpoint_with_more_or_less_says_what():
    state = hollow(shapes("sam_vit_b"))
    state["extra"] = torch.ones(1)
    del state["mask_decoder.iou_token.weight"]
    with pytest.raises(WeightsError) as caught:
        check(state, find("sam_vit_b"), Path("mine.pth"))
    assert str(caught.value) == (
        "mine.pth is not a checkpoint of sam_vit_b: 1 missing (mask_decoder.iou_token.weight), 1 unexpected (extra)."
    )


def test_only_three_names_of_each_kind_are_told():
    with pytest.raises(
        WeightsError, match=r"^x is not .*: 314 missing \([^,]+, [^,]+, [^,]+, \.\.\.\), 2 unexpected \(a, b\)\.$"
    ):
        check({"a": torch.ones(1), "b": torch.ones(1)}, find("sam_vit_b"), Path("x"))
