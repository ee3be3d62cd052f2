"""Exported models, run by ONNX Runtime and by the CPU engine, against the reference's numbers and each other.

Checkpoints are made up (see parity/README.md).
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="exporting needs the export extra")
onnx = pytest.importorskip("onnx", reason="exporting needs the export extra")
pytest.importorskip("onnxscript", reason="exporting needs the export extra")
runtime = pytest.importorskip("onnxruntime")

import onnx_ir as ir  # noqa: E402
import parity  # noqa: E402
from openvino import Core  # noqa: E402

import anymask  # noqa: E402
from anymask.catalog import ModelEntry, find  # noqa: E402
from anymask.errors import FormatError, MissingExtraError, ModelError, WeightsError  # noqa: E402
from anymask.export import export  # noqa: E402
from anymask.export.graphs import half_constants, lower_opset  # noqa: E402
from anymask.export.modules import PromptDecoder, single_mask  # noqa: E402
from anymask.hashes import checkpoint_sha256  # noqa: E402
from anymask.networks import sam  # noqa: E402
from anymask.networks.sam.image_encoder import SIZES  # noqa: E402
from anymask.placement import Placement  # noqa: E402
from anymask.runtime import convert  # noqa: E402
from anymask.runtime.resize import resize_to_input  # noqa: E402
from anymask.runtime.torch import TorchSegmentEngine  # noqa: E402

GOLDEN = parity.Golden("mobile_sam")
PICTURE = GOLDEN.picture()
META = ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"]


class Exported(NamedTuple):
    """A folder of ONNX files, opened."""

    folder: Path
    encoder: Any
    decoder: Any

    @classmethod
    def open(cls, folder: Path) -> "Exported":
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        return cls(folder, *(runtime.InferenceSession(folder / f"{part}.onnx", options)
                             for part in ("encoder", "decoder")))  # fmt: skip

    def encode(self, model: str, picture: np.ndarray) -> dict[str, np.ndarray]:
        """The picture's maps by name, from the picture alone."""
        spec = find(model)
        placement = getattr(Placement, spec.input.fit)(*picture.shape[:2], spec.input.side)
        pixels = resize_to_input(picture, placement, spec.input.resize).astype(np.float32)
        names = [output.name for output in self.encoder.get_outputs()]
        return dict(zip(names, self.encoder.run(None, {"input_image": pixels}), strict=True))

    def decode(
        self, maps: dict[str, np.ndarray], coords: Any, labels: Any, mask: Any = None, size: Any = PICTURE.shape[:2]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Full masks, scores, low-resolution masks of B prompts; `mask` is BxHxW."""
        feed = {**maps, "point_coords": np.asarray(coords, np.float32), "point_labels": np.asarray(labels, np.float32)}
        shapes = {given.name: given.shape for given in self.decoder.get_inputs()}
        if "mask_input" in shapes:
            zeros = np.zeros((len(coords), *shapes["mask_input"][1:]), np.float32)
            feed["mask_input"] = zeros if mask is None else np.asarray(mask, np.float32)[:, None]
            feed["has_mask_input"] = np.array([mask is not None], np.float32)
        feed["orig_im_size"] = np.array(size, np.float32)
        masks, scores, low = self.decoder.run(["masks", "iou_predictions", "low_res_masks"], feed)
        return masks, scores, low


def made_up(model: str, folder: Path) -> Path:
    path = folder / f"{model}.pth"
    torch.save(parity.checkpoint(model), path)
    return path


@pytest.fixture(scope="module", autouse=True)
def traced_once() -> Iterator[None]:
    """Parts of a network with the same weights are traced and converted once, which is most of an export's time, and
    written as each export wants them."""
    trace = torch.onnx.export
    traced: dict[object, onnx.ModelProto] = {}
    converted: dict[object, list[Any]] = {}

    def weights(*modules: torch.nn.Module | None) -> tuple[object, ...]:
        states = [module.state_dict() for module in modules if module is not None]
        return tuple((name, tensor.shape, float(tensor.sum())) for state in states for name, tensor in state.items())

    def trace_once(module: Any, inputs: Any, **options: Any) -> Any:
        names = (*options["input_names"], *options["output_names"])
        key = type(module), getattr(module, "single", None), module.side, names, weights(module)
        if key not in traced:
            traced[key] = ir.to_proto(trace(module, inputs, **options).model)
        return SimpleNamespace(model=ir.from_proto(traced[key]))

    def convert_once(spec: ModelEntry, parts: Any) -> list[Any]:
        key = spec.name, weights(*parts)
        if key not in converted:
            converted[key] = list(convert.convert_parts(spec, parts))
        return converted[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", trace_once)
        patch.setattr("anymask.export.openvino.convert_parts", convert_once)
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up("mobile_sam", tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def mobile(checkpoint: Path) -> Exported:
    return Exported.open(export("mobile_sam", checkpoint.parent / "onnx", weights=checkpoint))


@pytest.fixture(scope="module")
def maps(mobile: Exported) -> dict[str, np.ndarray]:
    return mobile.encode("mobile_sam", PICTURE)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> anymask.Segmenter:
    folder = export("mobile_sam", checkpoint.parent / "openvino", "openvino", weights=checkpoint)
    return anymask.Segmenter("mobile_sam", device="cpu", precision="fp32", weights=folder)


def near(found: np.ndarray, expected: np.ndarray, limit: float = 1e-3) -> bool:
    """The same shape and, in deviations of what is expected, the same values."""
    return found.shape == expected.shape and bool(np.abs(found - expected).max() < limit * expected.std())


@pytest.mark.slow
def test_the_names_and_shapes_are_metas(mobile):
    given = {i.name: (i.type, i.shape) for i in mobile.decoder.get_inputs()}
    assert list(given) == META
    assert {kind for kind, _ in given.values()} == {"tensor(float)"}
    shapes = [shape for _, shape in given.values()]
    assert shapes[0] == [1, 256, 64, 64]
    assert shapes[1][2] == 2 and shapes[1][:2] == shapes[2] and all(isinstance(size, str) for size in shapes[2])
    assert shapes[3][1:] == [1, 256, 256] and shapes[4:] == [[1], [2]]
    assert [output.name for output in mobile.decoder.get_outputs()] == ["masks", "iou_predictions", "low_res_masks"]
    assert [i.name for i in mobile.encoder.get_inputs()] == ["input_image"]
    for part in ("encoder", "decoder"):
        model = onnx.load(mobile.folder / f"{part}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert ([(o.domain, o.version) for o in model.opset_import], model.ir_version) == ([("", 17)], 8)


@pytest.mark.slow
def test_the_encoder_takes_a_picture_and_gives_the_references_embedding(maps):
    assert GOLDEN.difference("encoder", maps["image_embeddings"]) < parity.LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("case", GOLDEN.cases)
def test_every_prompt_gives_the_references_masks(mobile, maps, case):
    coords, labels, mask = parity.sam_prompt(GOLDEN.cases[case], PICTURE.shape)
    if not labels.numel():
        pytest.skip("Meta's exported decoder needs a point, too")
    masks, scores, low = mobile.decode(maps, coords.numpy(), labels.numpy(), None if mask is None else mask.numpy())
    chosen = slice(1, None) if GOLDEN.cases[case]["multimask"] else slice(0, 1)
    assert GOLDEN.difference(f"{case}.low_res", np.ascontiguousarray(low[:, chosen])) < parity.LIMIT
    np.testing.assert_allclose(scores[:, chosen].flatten(), GOLDEN.arrays[f"{case}.iou"].flatten(), atol=1e-5)
    assert masks.shape == (len(coords), 4, *PICTURE.shape[:2])


@pytest.mark.slow
def test_masks_at_the_pictures_size_are_the_engines(mobile, maps, engine):
    image = engine.encode(PICTURE)
    place = image.placement.to_input
    first = image.predict(points=[(150, 120)], multimask=True)
    masks, scores, low = mobile.decode(maps, [[*place([(150, 120)]), (0, 0)]], [[1, -1]])
    assert near(low[0, 1:], first.logits) and near(scores[0, 1:], first.scores)
    assert ((masks[0, 1:] > 0) != first.array).mean() < 1e-4
    refined = image.predict(box=(60, 40, 300, 260), mask=first.logits[0], multimask=False)
    masks, _, low = mobile.decode(maps, [place([(60, 40), (300, 260)])], [[2, 3]], first.logits[:1])
    assert near(low[0, :1], refined.logits)
    assert ((masks[0, :1] > 0) != refined.array).mean() < 1e-4


@pytest.mark.slow
def test_code_as_in_metas_notebook(mobile, maps, engine):
    """Points with a padding point; a point and a box without one; the first answer as the next one's mask."""
    size = PICTURE.shape[:2]
    scale = 1024 / max(size)
    resized = np.array([int(size[1] * scale + 0.5), int(size[0] * scale + 0.5)])

    def apply_coords(coords: np.ndarray) -> np.ndarray:
        moved: np.ndarray = deepcopy(coords).astype(float) * (resized / np.array(size[::-1]))
        return moved.astype(np.float32)

    input_point, input_label = np.array([[150, 120], [200, 180]]), np.array([1, 0])
    onnx_coord = np.concatenate([input_point, np.array([[0.0, 0.0]])], axis=0)[None, :, :]
    onnx_label = np.concatenate([input_label, np.array([-1])], axis=0)[None, :].astype(np.float32)
    ort_inputs = {
        "image_embeddings": maps["image_embeddings"],
        "point_coords": apply_coords(onnx_coord),
        "point_labels": onnx_label,
        "mask_input": np.zeros((1, 1, 256, 256), dtype=np.float32),
        "has_mask_input": np.zeros(1, dtype=np.float32),
        "orig_im_size": np.array(size, dtype=np.float32),
    }
    masks, scores, low_res_logits = mobile.decoder.run(None, ort_inputs)
    image = engine.encode(PICTURE)
    expected = image.predict(points=input_point, labels=input_label, multimask=True)
    assert ((masks[0, 1:] > 0.0) != expected.array).mean() < 1e-4

    best = int(np.argmax(scores))
    ort_inputs |= {
        "mask_input": low_res_logits[:, best][None],
        "has_mask_input": np.ones(1, dtype=np.float32),
    }
    masks, _, _ = mobile.decoder.run(None, ort_inputs)
    expected = image.predict(points=input_point, labels=input_label, mask=low_res_logits[0, best], multimask=True)
    assert ((masks[0, 1:] > 0.0) != expected.array).mean() < 1e-4

    onnx_box_coords = np.array([60, 40, 300, 260]).reshape(2, 2)
    onnx_coord = np.concatenate([input_point[1:], onnx_box_coords], axis=0)[None, :, :]
    onnx_label = np.concatenate([input_label[1:], np.array([2, 3])], axis=0)[None, :].astype(np.float32)
    ort_inputs |= {
        "point_coords": apply_coords(onnx_coord),
        "point_labels": onnx_label,
        "has_mask_input": np.zeros(1, dtype=np.float32),
    }
    masks, _, _ = mobile.decoder.run(None, ort_inputs)
    expected = image.predict(points=input_point[1:], labels=[0], box=(60, 40, 300, 260), multimask=False)
    assert ((masks[0, :1] > 0.0) != expected.array).mean() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("size", [(301, 1000), (1333, 750), (1, 40), (1024, 1024)])
def test_any_pictures_shape_and_several_prompts(mobile, maps, size):
    random = np.random.default_rng(5)
    coords, labels = random.uniform(0, 700, (3, 2, 2)), [[1, -1], [0, -1], [2, 3]]
    masks, _, low = mobile.decode(maps, coords, labels, size=size)
    for index in range(3):
        alone = mobile.decode(maps, coords[index : index + 1], labels[index : index + 1], size=size)
        assert near(masks[index : index + 1], alone[0], 1e-4) and near(low[index : index + 1], alone[2], 1e-4)
        assert near(masks[index], Placement.letterbox(*size, 1024).upscale(low[index]), 1e-3)
    with_masks = mobile.decode(maps, coords, labels, low[:, 1], size)
    assert near(with_masks[2][:1], mobile.decode(maps, coords[:1], labels[:1], low[:1, 1], size)[2], 1e-4)
    assert not near(with_masks[2], low, 0.1)


@pytest.mark.slow
def test_the_metadata_says_what_it_is(mobile, checkpoint):
    about = json.loads((mobile.folder / "metadata.json").read_text(encoding="utf-8"))
    assert about["model"] == "mobile_sam" and about["licence"] == "Apache-2.0" and about["input_size"] == 1024
    assert about["checkpoint_sha256"] == checkpoint_sha256(checkpoint) and about["anymask"] == anymask.__version__
    assert list(about["graphs"]["decoder"]["inputs"]) == META
    for session, part in ((mobile.encoder, "encoder"), (mobile.decoder, "decoder")):
        props = session.get_modelmeta().custom_metadata_map
        assert props["model"] == "mobile_sam" and json.loads(props["padding"]) == [123.675, 116.28, 103.53]
        assert json.loads(props["inputs"]) == about["graphs"][part]["inputs"]


@pytest.mark.slow
def test_half_is_half_as_large_and_close(mobile, maps, checkpoint):
    half = Exported.open(export("mobile_sam", checkpoint.parent / "half", weights=checkpoint, half=True))
    sizes = [sum(path.stat().st_size for path in folder.glob("*.onnx")) for folder in (half.folder, mobile.folder)]
    assert sizes[0] < 0.6 * sizes[1]
    assert near(half.encode("mobile_sam", PICTURE)["image_embeddings"], maps["image_embeddings"], 0.02)
    prompt = [[(300, 250), (0, 0)]], [[1, -1]]
    for earlier in (None, parity.seeded_mask_logits(256, 256, 1)[None]):  # each is a graph within the graph
        found, expected = (exported.decode(maps, *prompt, earlier) for exported in (half, mobile))
        assert near(found[2], expected[2], 0.05) and np.abs(found[1] - expected[1]).max() < 0.01


@pytest.fixture(scope="module")
def efficient(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Of a network without mask prompts, whose decoder is exported in a third of the time."""
    folder = tmp_path_factory.mktemp("efficient")
    return Exported.open(export("efficient_sam_ti", folder / "onnx", weights=made_up("efficient_sam_ti", folder)))


@pytest.mark.slow
def test_one_mask_is_metas_choice(efficient):
    folder = efficient.folder.with_name("single")
    weights = efficient.folder.with_name("efficient_sam_ti.pth")
    single = Exported.open(export("efficient_sam_ti", folder, weights=weights, half=True, single_mask=True))
    assert (folder / "decoder.onnx").stat().st_size < 0.6 * (efficient.folder / "decoder.onnx").stat().st_size
    maps = efficient.encode("efficient_sam_ti", PICTURE)
    for coords, labels in (
        ([[(300, 250), (0, 0)]], [[1, -1]]),
        ([[(300, 250), (420, 330), (0, 0)]], [[1, 0, -1]]),
    ):
        masks, scores, low = single.decode(maps, coords, labels)
        every = efficient.decode(maps, coords, labels)
        best = 0 if len(labels[0]) > 2 else 1 + int(every[1][0, 1:].argmax())
        assert masks.shape == (1, 1, *PICTURE.shape[:2])
        assert near(low[0, 0], every[2][0, best], 0.05) and abs(scores[0, 0] - every[1][0, best]) < 0.01


@pytest.mark.slow
def test_half_graphs_for_the_engine_are_half_as_large_and_close(engine, checkpoint):
    folder = export("mobile_sam", checkpoint.parent / "half-openvino", "openvino", weights=checkpoint, half=True)
    half = anymask.Segmenter("mobile_sam", device="cpu", precision="fp32", weights=folder)
    sizes = [sum(path.stat().st_size for path in at.glob("*.bin")) for at in (folder, folder.with_name("openvino"))]
    assert sizes[0] < 0.6 * sizes[1]
    prompt = {"points": [(150, 120)], "multimask": True}
    expected, found = (segmenter.encode(PICTURE).predict(**prompt) for segmenter in (engine, half))
    assert near(found.logits, expected.logits, 0.1)
    about = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    assert about["weights"] == "fp16" and set(about["graphs"]) == {"encoder", "prepare", "decoder", "masked"}


@pytest.mark.slow
def test_the_engine_opens_what_was_exported_for_it(engine):
    golden = GOLDEN.cases
    image = engine.encode(PICTURE)
    for name, case in golden.items():
        if "mask_seed" in case or np.ndim(case.get("points", case.get("box"))) != (2 if "points" in case else 1):
            continue
        prompt = {key: case[key] for key in ("points", "labels", "box") if key in case}
        masks = image.predict(**prompt, multimask=case["multimask"])
        assert GOLDEN.difference(f"{name}.low_res", masks.logits[None]) < 10 * parity.LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pocket", "efficient_sam_ti", "sam_hq_vit_tiny"])
def test_other_families(model, tmp_path, monkeypatch, request):
    """Their decoders have the inputs that make sense, and give what an engine gives: the one on the CPU with graphs
    exported for it, or, of pocket, PyTorch. Constants in a file of their own do not change that."""
    if model == "efficient_sam_ti":
        exported = request.getfixturevalue("efficient")
        weights = exported.folder.with_name(f"{model}.pth")
    else:
        weights = None if model == "pocket" else made_up(model, tmp_path)
        if model == "pocket":
            monkeypatch.setattr("anymask.export.onnx.LARGEST", 0)
        exported = Exported.open(export(model, tmp_path / "onnx", weights=weights))
    assert (exported.folder / "decoder.onnx.data").exists() == (model == "pocket")
    extra = {"pocket": 2, "efficient_sam_ti": 0, "sam_hq_vit_tiny": 1}[model]
    names = [META[0], *[f"high_res_features_{index + 1}" for index in range(extra)], *META[1:]]
    if model == "efficient_sam_ti":
        names = [name for name in names if "mask" not in name]
    assert [given.name for given in exported.decoder.get_inputs()] == names

    if model == "pocket":
        network = TorchSegmentEngine(find(model), find(model).path / "weights.safetensors", "cpu", "fp32")
        image = anymask.Segmenter.over(network).encode(PICTURE)
    else:
        opened = export(model, tmp_path / "openvino", "openvino", weights=weights)
        image = anymask.Segmenter(model, device="cpu", precision="fp32", weights=opened).encode(PICTURE)
    maps = exported.encode(model, PICTURE)
    points = image.placement.to_input([(150, 120), (60, 40), (300, 260)])
    expected = image.predict(points=[(150, 120)], box=(60, 40, 300, 260), multimask=True)
    labels = [[1, 2, 3]]
    masks, scores, low = exported.decode(maps, [points], labels)
    assert near(low[0, 1:], expected.logits) and np.abs(scores[0, 1:] - expected.scores).max() < 1e-3
    assert ((masks[0, 1:] > 0) != expected.array).mean() < 5e-4
    if find(model).prompts.mask:
        expected = image.predict(points=[(150, 120)], box=(60, 40, 300, 260), mask=low[0, 1], multimask=True)
        assert near(exported.decode(maps, [points], labels, low[:, 1])[2][0, 1:], expected.logits)


@pytest.mark.slow
def test_pocket_for_the_engine(tmp_path, monkeypatch):
    """From its folder of weights. Converting it is part of its training, and tested there; here the graphs on board
    stand for half a minute's conversion."""
    folder = find("pocket").path
    graphs = [(xml.stem, Core().read_model(xml, folder / "weights.safetensors")) for xml in folder.glob("*.xml")]
    monkeypatch.setattr("anymask.export.openvino.convert_parts", lambda spec, parts: graphs)
    opened = export("pocket", tmp_path / "openvino", "openvino")
    about = json.loads((opened / "metadata.json").read_text(encoding="utf-8"))
    assert set(about["graphs"]) == {"encoder", "decoder", "masked"} and about["model"] == "pocket"
    prompt = {"points": [(150, 120)], "box": (60, 40, 300, 260)}
    expected, found = (
        anymask.Segmenter("pocket", "cpu", "fp32", weights).encode(PICTURE).predict(**prompt)
        for weights in (None, opened)
    )
    assert near(found.logits, expected.logits)


@pytest.mark.slow
def test_sam_itself(tmp_path, monkeypatch):
    """Its encoder narrow and of four blocks, two of which see the whole picture, against the network itself, which
    test_sam_networks.py holds to the goldens in its true size. The decoder is MobileSAM's."""
    monkeypatch.setitem(SIZES, "vit_b", (96, 4, 3, (1, 3)))
    network = sam.build("vit_b").requires_grad_(False)
    parity.scattered(network.image_encoder)
    decoder = {name: value for name, value in parity.checkpoint("mobile_sam").items() if "image_encoder" not in name}
    network.load_state_dict(network.state_dict() | decoder)
    torch.save(network.state_dict(), tmp_path / "sam_vit_b.pth")
    exported = Exported.open(export("sam_vit_b", tmp_path / "onnx", weights=tmp_path / "sam_vit_b.pth"))
    maps = exported.encode("sam_vit_b", PICTURE)
    parts = sam.parts(network.eval())
    (embedding,) = parts.encoder(parity.sam_image(PICTURE))
    assert near(maps["image_embeddings"], embedding.numpy(), parity.LIMIT)
    for case in GOLDEN.cases.values():
        coords, labels, mask = parity.sam_prompt(case, PICTURE.shape)
        if labels.numel():
            found = exported.decode(maps, coords.numpy(), labels.numpy(), None if mask is None else mask.numpy())
            expected, _ = network.decode(embedding, coords, labels, mask)
            assert near(found[2], expected.numpy(), parity.LIMIT)


class Stub(torch.nn.Module):
    """A decoder that gives what it was made with."""

    def __init__(self, logits: Any) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, *_: Any) -> Any:
        return self.logits, torch.arange(8.0).reshape(2, 4)


@pytest.mark.parametrize("model", ["mobile_sam", "efficient_sam_ti", "sam2.1_hiera_tiny"])
@pytest.mark.parametrize("size", [(360, 500), (500, 361), (7, 900), (2049, 1025)])
def test_masks_are_enlarged_as_the_engine_does(model, size):
    spec: ModelEntry = find(model)
    logits = torch.randn(2, 4, 256, 256, generator=torch.Generator().manual_seed(3))
    decoder = PromptDecoder(spec, None, Stub(logits), None, single=False)
    masks, _, low = decoder(torch.zeros(1), torch.zeros(2, 3, 2), torch.zeros(2, 3), torch.tensor([*map(float, size)]))
    enlarge = {"enlarge": spec.enlarge} if spec.input.fit == "stretch" else {}
    placement = getattr(Placement, spec.input.fit)(*size, 1024, **enlarge)
    assert low is logits
    assert near(masks[1].numpy(), placement.upscale(logits[1].numpy()))


def test_the_single_mask_depends_on_the_number_of_points():
    logits = torch.arange(8.0).reshape(2, 4, 1, 1)
    scores = torch.tensor([[0.9, 0.1, 0.5, 0.2], [0.1, 0.2, 0.3, 0.8]])
    few, many = (single_mask(logits, scores, points) for points in (2, 3))
    assert few[0].flatten().tolist() == [2, 7] and few[1].tolist() == [[scores[0, 2]], [scores[1, 3]]]
    assert many[0].flatten().tolist() == [0, 4] and many[1].tolist() == [[scores[0, 0]], [scores[1, 0]]]


def test_graphs_are_lowered_and_halved():
    text = """<ir_version: 10, opset_import: ["" : 18]>
    g (float[4, N] x) => (float[64, 4] y, float[4, 1] z)
    <float[64, 64] big, float[64] small, float[64, 64] huge, int64[1] axes = {1}>
    {
      a, b = Split <axis = 0, num_outputs = 2> (big)
      c = Concat <axis = 0> (a, b)
      d = Add (c, huge)
      e = Add (d, small)
      f = ReduceMax (e, axes)
      y = Expand (f, shape)
      z = ReduceMax (x, axes)
    }"""
    text = text.replace("float[64] small, ", "float[64] small, int64[2] shape = {64, 4}, ")
    proto = onnx.parser.parse_model(text)
    rng = np.random.default_rng(1)
    values = {"big": rng.normal(size=(64, 64)), "small": rng.normal(size=64), "huge": rng.normal(size=(64, 64)) * 1e6}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name not in values]
    del proto.graph.initializer[:]
    arrays = [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in values.items()]
    proto.graph.initializer.extend([*kept, *arrays])
    feed = {"x": rng.normal(size=(4, 7)).astype(np.float32)}
    before = onnx.reference.ReferenceEvaluator(proto).run(None, feed)

    model = ir.from_proto(proto)
    lower_opset(model)
    half_constants(model)
    changed = ir.to_proto(model)
    onnx.checker.check_model(changed, full_check=True)
    assert (changed.opset_import[0].version, changed.ir_version) == (17, 8)
    types = {tensor.name: tensor.data_type for tensor in changed.graph.initializer}
    half = onnx.TensorProto.FLOAT16
    assert types["big.fp16"] == half and "big" not in types  # the others are too small, or too large for fp16
    assert [name for name, kind in types.items() if kind == half] == ["big.fp16"]
    session = runtime.InferenceSession(changed.SerializeToString())
    for found, expected in zip(session.run(None, feed), before, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-3, rtol=1e-5)


def test_what_cannot_be_exported_is_refused_in_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(FormatError, match="no export format 'tflite'; choose onnx or openvino"):
        export("pocket", tmp_path, "tflite")
    with pytest.raises(FormatError, match="ONNX decoder only, not by openvino"):
        export("pocket", tmp_path, "openvino", single_mask=True)
    with pytest.raises(ModelError, match="no model called 'sam_vit_x'"):
        export("sam_vit_x", tmp_path)
    with pytest.raises(WeightsError, match=r"weights of mobile_sam are not at .*none\.pth"):
        export("mobile_sam", tmp_path, weights=tmp_path / "none.pth")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FormatError, match="file cannot be written"):
        export("pocket", tmp_path / "file")
    monkeypatch.setattr("anymask.export.find_spec", lambda name: None if name.startswith("onnx") else object())
    with pytest.raises(MissingExtraError, match=r'needs onnx and onnxscript, .*pip install "anymask\[export\]"'):
        export("pocket", tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
