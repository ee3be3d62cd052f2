"""The command line, in this process through `main` and, where the process itself matters, in one of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

import anymask
from anymask.cli import main

ASSETS = Path(__file__).parents[1] / "assets"
ALONE = ("cutout", "segment", "everything", "track", "models", "download", "evaluate", "export")
COMMANDS = [*([name] for name in ALONE), ["train", "pocket"], ["train", "quantize"]]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Ran:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return Ran(int(left.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def pocket() -> anymask.Segmenter:
    return anymask.Segmenter("pocket")


@pytest.fixture(scope="session")
def remover() -> anymask.BackgroundRemover:
    return anymask.BackgroundRemover("pocket")


@pytest.fixture
def loaded(pocket: anymask.Segmenter, remover: anymask.BackgroundRemover, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded models for the tests that do not look at how they are loaded."""
    monkeypatch.setattr("anymask.segmenter.Segmenter", lambda *_: pocket)
    monkeypatch.setattr("anymask.background.BackgroundRemover", lambda *_: remover)


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    path = tmp_path / "bus.jpg"
    path.write_bytes((ASSETS / "bus.jpg").read_bytes())
    return path


def sentence(ran: Ran) -> str:
    """What was refused: exit code 2 and one line on standard error, nothing on standard output."""
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("anymask: ")
    assert ran.err.count("\n") == 1
    return ran.err


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# -- help -------------------------------------------------------------------------------------------------------------


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert all(command[0] in ran.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_helps_with_examples(run: Run, command: list[str]) -> None:
    ran = run(*command, "--help")
    assert ran.code == 0
    assert f"anymask {' '.join(command)} " in ran.out.partition("Examples")[2]


def test_version(run: Run) -> None:
    assert run("--version").out == f"anymask {anymask.__version__}\n"


def test_help_loads_no_engine() -> None:
    code = "import sys; from anymask.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "cv2", "openvino", "torch", "pycocotools"} & set(loaded)


# -- cutout -----------------------------------------------------------------------------------------------------------


def picture(data: bytes | Path) -> np.ndarray:
    with Image.open(BytesIO(data) if isinstance(data, bytes) else data) as image:
        return np.array(image)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures are the same but for the last bit of floating-point sums."""
    difference = np.abs(one.astype(int) - other)
    return one.shape == other.shape and difference[..., -1].max() <= 1 and difference.mean() < 0.01


@pytest.mark.usefixtures("loaded")
def test_a_cutout_lies_beside_its_picture(run: Run, bus: Path, remover: anymask.BackgroundRemover) -> None:
    target = bus.with_name("bus.cutout.png")
    assert run("cutout", bus) == (0, "", f"{target}: the cut-out\n")
    written = picture(target)
    assert written.shape == (427, 640, 4)
    assert alike(written, np.array(remover.remove(bus)))
    assert run("cutout", bus).code == 0, "a lone picture is done again"


@pytest.mark.usefixtures("loaded")
def test_matte_and_switches(run: Run, bus: Path, remover: anymask.BackgroundRemover) -> None:
    assert run("cutout", bus, "--mask-only", "--no-refine").code == 0
    matte = (remover.matte(bus, refine=False) * 255 + 0.5).astype(np.uint8)
    assert np.array_equal(picture(bus.with_name("bus.matte.png")), matte)
    target = bus.with_name("plain.png")
    assert run("cutout", bus, "--no-foreground", "-o", target).code == 0
    assert alike(picture(target), np.array(remover.remove(bus, foreground=False)))


@pytest.mark.usefixtures("loaded")
def test_backgrounds(run: Run, bus: Path) -> None:
    red, flowers = bus.with_name("red.png"), bus.parent / "new" / "flowers.webp"
    assert run("cutout", bus, "--background", "#f00", "-o", red).code == 0
    assert picture(red).shape == (427, 640, 3)
    assert run("cutout", bus, "-b", ASSETS / "flowers.jpg", "-o", flowers).code == 0
    assert picture(flowers).shape == (427, 640, 3)
    assert "neither a colour nor a picture" in sentence(run("cutout", bus, "-b", "bleu"))


@pytest.mark.usefixtures("loaded")
def test_a_folder_goes_on_past_a_bad_picture_and_skips_what_is_done(run: Run, bus: Path) -> None:
    folder, out = bus.parent, bus.parent.parent / "cut"
    (folder / "bad.jpg").write_text("not a picture")
    (folder / "deep").mkdir()
    (folder / "deep" / "also.png").write_bytes((ASSETS / "flowers.jpg").read_bytes())
    ran = run("cutout", folder, "-o", out)
    assert ran.code == 1
    assert "bad.jpg" in ran.err
    assert "1 written, 0 there already, 1 failed" in ran.err
    assert files(out) == {"bus.cutout.png"}
    (folder / "bad.jpg").unlink()
    ran = run("cutout", folder, "-o", out, "--recursive")
    assert ran == (0, "", "1 written, 1 there already, 0 failed\n")
    assert files(out / "deep") == {"also.cutout.png"}
    assert "2 written" in run("cutout", folder, "-o", out, "--recursive", "--overwrite").err


@pytest.mark.usefixtures("loaded")
def test_cutout_refuses_with_a_sentence(run: Run, bus: Path) -> None:
    assert "'.gif'" in sentence(run("cutout", bus, "--format", "gif"))
    assert "'.gif'" in sentence(run("cutout", bus, "-o", bus.with_name("cut.gif")))
    assert "one picture at a time" in sentence(run("cutout", bus, bus, "-o", "-"))
    assert "would overwrite" in sentence(run("cutout", bus, "-o", bus))
    assert "does not exist" in sentence(run("cutout", bus.with_name("none.jpg")))
    assert files(bus.parent) == {"bus.jpg"}


@pytest.mark.slow
def test_streams_and_a_process_of_its_own(bus: Path) -> None:
    command = [sys.executable, "-m", "anymask", "cutout", "-"]
    ran = subprocess.run(command, input=bus.read_bytes(), capture_output=True, check=True)
    assert ran.stderr == b""
    assert picture(ran.stdout).shape == (427, 640, 4)
    ran = subprocess.run(command, input=b"no picture", capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"anymask: The picture")


# -- segment ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("loaded")
def test_a_point_gives_the_best_mask_beside_the_picture(run: Run, bus: Path, pocket: anymask.Segmenter) -> None:
    ran = run("segment", bus, "--point", "400,220")
    assert ran.code == 0
    assert "bus.mask.png" in ran.err
    best = pocket.encode(bus).predict(points=[(400, 220)]).best
    with Image.open(bus.with_name("bus.mask.png")) as written:
        assert np.array_equal(np.array(written) == 255, best.array[0])


@pytest.mark.usefixtures("loaded")
def test_candidates_and_overlay(run: Run, bus: Path) -> None:
    target = bus.with_name("three.json")
    assert run("segment", bus, "-p", "400,220", "--multimask", "--overlay", "-o", target).code == 0
    assert len(json.loads(target.read_text())["annotations"]) == 3
    with Image.open(bus.with_name("three.overlay.png")) as drawn:
        assert drawn.size == (640, 427)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("suffix", ["png", "json", "svg", "geojson", "npz"])
def test_the_suffix_names_the_format(run: Run, bus: Path, suffix: str) -> None:
    target = bus.with_name(f"mask.{suffix}")
    assert run("segment", bus, "--box", "120,110,570,320", "-o", target).code == 0
    first = target.read_bytes()[:4]
    assert first[:1] in b"{" if "json" in suffix else first[:2] in (b"\x89P", b"<s", b"<?", b"PK")


def test_what_is_asked_reaches_the_model(run: Run, bus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Spy:
        def __init__(self, *model: object) -> None:
            asked["model"] = model

        def encode(self, picture: np.ndarray) -> "Spy":
            return self

        def predict_batch(
            self, prompts: list[anymask.Prompt], multimask: bool | None, second_look: bool | None
        ) -> list[anymask.Masks]:
            asked.update(vars(prompts[0]), multimask=multimask, second_look=second_look)
            raise anymask.PromptError("Seen enough.")

    monkeypatch.setattr("anymask.segmenter.Segmenter", Spy)
    command = "--point 1,2 --negative -3,4.5 --point 5,6,0 --box 0,0,9,9 --single --one-look"
    sentence(run("segment", bus, *command.split(), "--device", "cpu", "--precision", "fp32"))
    assert asked["model"] == ("pocket", "cpu", "fp32", None)
    assert asked["points"].tolist() == [[1, 2], [5, 6], [-3, 4.5]]
    assert asked["labels"].tolist() == [1, 0, 0]
    assert asked["box"].tolist() == [0, 0, 9, 9]
    assert asked["multimask"] is False and asked["second_look"] is False


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--point", "900,20"], "(900, 20) lies outside"),
        (["--point", "-1,20"], "(-1, 20) lies outside"),
        (["--point", "5"], "--point must be x,y"),
        (["--point", "5,b"], "not '5,b'"),
        (["--point", "nan,5"], "not 'nan,5'"),
        (["--point", "5,5,2"], "not 2"),
        (["--negative", "1,2,3"], "--negative must be x,y"),
        (["--box", "1,2,3"], "--box must be x0,y0,x1,y1"),
        (["--box", "50,50,50,90"], "no area"),
        ([], "empty"),
        (["--point", "5,5", "-o", "mask.gif"], "'.gif'"),
        (["--point", "5,5", "-o", "no/such/folder/mask.png"], "cannot be written"),
    ],
)
def test_segment_refuses_with_a_sentence(run: Run, bus: Path, arguments: list[str], said: str) -> None:
    assert said in sentence(run("segment", bus, *arguments))
    assert files(bus.parent) == {"bus.jpg"}


def test_pictures_that_are_none(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("This is not a picture.")
    truncated = tmp_path / "half.jpg"
    truncated.write_bytes((ASSETS / "bus.jpg").read_bytes()[:9000])
    assert "text.jpg" in sentence(run("segment", text, "--point", "1,1"))
    assert "half.jpg" in sentence(run("segment", truncated, "--point", "1,1"))
    assert "does not exist" in sentence(run("segment", tmp_path / "none.jpg", "--point", "1,1"))


@pytest.mark.parametrize(
    "command", [["segment", "--point", "1,1"], ["everything"], ["cutout"]], ids=lambda c: str(c[0])
)
def test_unknown_models_devices_and_precisions(run: Run, bus: Path, command: list[str]) -> None:
    assert "did you mean pocket" in sentence(run(*command, bus, "--model", "pokcet"))
    assert "auto, cpu, cuda, mps" in sentence(run(*command, bus, "--device", "tpu"))
    assert "auto, fp32, bf16, fp16" in sentence(run(*command, bus, "--precision", "int8"))


# -- everything -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("loaded")
def test_everything_goes_on_past_a_bad_picture(run: Run, bus: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    ran = run("everything", bad, bus, "-o", tmp_path / "masks", "--points-per-side", "3", "--overlay")
    assert ran.code == 1
    assert "bad.jpg" in ran.err
    assert "1 written, 0 there already, 1 failed" in ran.err
    assert files(tmp_path / "masks") == {"bus.masks.json", "bus.overlay.png"}
    assert {"images", "annotations", "categories"} <= json.loads((tmp_path / "masks/bus.masks.json").read_text()).keys()


@pytest.mark.usefixtures("loaded")
def test_everything_passes_options_on_by_their_names(run: Run, bus: Path) -> None:
    assert "points_per_side" in sentence(run("everything", bus, "--points-per-side", "0"))
    assert "box_nms_thresh" in sentence(run("everything", bus, "--box-nms-thresh", "7"))
    assert "crop_n_layers" in sentence(run("everything", bus, "--crop-n-layers", "-1"))


def test_everything_refuses_one_file_for_two_pictures(run: Run, bus: Path) -> None:
    assert "folder" in sentence(run("everything", bus, ASSETS / "street.jpg", "-o", bus.with_name("all.json")))
    assert "'.gif'" in sentence(run("everything", bus, "--format", "gif"))


# -- models, evaluate, train ------------------------------------------------------------------------------------------


def test_models_as_table_and_json(run: Run) -> None:
    assert "Apache-2.0" in run("models").out
    found = json.loads(run("models", "--json", "--commercial", "--family", "pocket").out)
    assert [entry["name"] for entry in found] == ["pocket"]
    assert json.loads(run("models", "--json", "--family", "none").out) == []


def test_evaluate_prints_a_table_and_writes_json(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(folder: Path, *model: object, limit: int, **others: object) -> SimpleNamespace:
        assert (folder, model, limit) == (tmp_path, ("pocket", "auto", "auto", None), 7)
        assert {"min_area": 400, "seed": 3}.items() <= others.items()
        return SimpleNamespace(rows={"box": 0.61}, counts={"box": 7}, to_dict=lambda: {"box": 0.61})

    monkeypatch.setitem(sys.modules, "anymask.evaluation.protocol", SimpleNamespace(evaluate=fake))
    ran = run("evaluate", tmp_path, "--limit", 7, "--seed", 3, "--json", tmp_path / "figures.json")
    assert ran.code == 0
    assert "0.610" in ran.out
    assert json.loads((tmp_path / "figures.json").read_text()) == {"box": 0.61}


def test_evaluate_refuses_a_folder_without_masks(run: Run, tmp_path: Path) -> None:
    assert "SA-1B" in sentence(run("evaluate", tmp_path))


def test_training_without_torch_names_the_extra(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "anymask.runtime.torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert 'pip install "anymask[torch]"' in sentence(run("train", "pocket", "--data", tmp_path, "--out", tmp_path))


def test_training_does_not_write_over_a_checkpoint(run: Run, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"days of work")
    assert "--resume" in sentence(run("train", "pocket", "--data", tmp_path, "--out", tmp_path))
    assert (tmp_path / "last.pt").read_bytes() == b"days of work"


@pytest.mark.slow
def test_training_leaves_weights_that_run(run: Run, tmp_path: Path, bus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anymask.training.pocket import Recipe, Stage

    small = partial(Recipe, stages=(Stage(1.0, 64, 2),), generated_share=0.0)  # 32 pictures of 192 x 192 take a minute
    monkeypatch.setattr("anymask.training.pocket.Recipe", small)
    mask = np.zeros((427, 640), np.uint8, order="F")
    mask[110:320, 120:570] = 1
    rle = coco.encode(mask) | {"size": [427, 640]}
    rle["counts"] = rle["counts"].decode()
    content = {
        "image": {"width": 640, "height": 427},
        "annotations": [{"segmentation": rle, "area": int(mask.sum())}],
        "subject": rle,
    }
    bus.with_suffix(".json").write_text(json.dumps(content))
    out = tmp_path / "run"
    ran = run("train", "pocket", "--data", tmp_path, "--out", out, "--minutes", "0.001")
    assert ran.code == 0
    assert "1 pictures, 0 cut-outs" in ran.err
    assert (out / "last.pt").exists()
    ran = run("cutout", bus, "--weights", out / "pocket", "-o", tmp_path / "cut.png")
    assert ran.code == 0
    assert picture(tmp_path / "cut.png").shape == (427, 640, 4)


# -- the process ------------------------------------------------------------------------------------------------------


def test_control_c_is_quiet(run: Run, bus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*model: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anymask.segmenter.Segmenter", interrupt)
    assert run("segment", bus, "--point", "1,1") == (130, "", "")


def test_a_closed_pipe_is_quiet() -> None:
    command = [sys.executable, "-m", "anymask", "models", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
