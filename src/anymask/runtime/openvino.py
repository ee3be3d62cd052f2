"""The CPU engine: graphs compiled by OpenVINO, shared by threads."""

import math
import threading
from collections import deque
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import openvino as ov

from anymask.catalog import ModelEntry
from anymask.errors import WeightsError
from anymask.hashes import digest
from anymask.home import writable_folder
from anymask.runtime.engine import (
    Answered,
    Embedding,
    Features,
    adopted,
    bounded,
    padded_picture,
    prompt_points,
    recalled,
    to_bfloat16,
    video_points,
)

ANY, KNOWN = -1, -2  # numbers of points


class Graph:
    """One compiled graph, arrays in, arrays out. Each concurrent call gets an inference request of its own.

    Of several prompts it takes one at a time: that is what stays in a core's cache, and known shapes run faster.
    """

    def __init__(
        self,
        xml: Path,
        precision: str,
        points: int = ANY,
        shapes: Sequence[Sequence[int]] | None = None,
        small: bool = True,
        kept: bool = True,
    ) -> None:
        """Compile the graph in `xml`, whose constants lie in the .bin file of that name or, shared with other graphs,
        in the folder's weights.safetensors; `precision` is fp32 or bf16. `points` is the number of points, ANY, or
        KNOWN for a graph of known shapes, none of whose outputs is one of its inputs. `shapes` are those of all
        inputs, of a graph that leaves other axes open. `small` keeps a KNOWN graph compiled without its weights, which
        is less on the disk and more work at each start; what is not `kept` at all is compiled at every start.

        Raises WeightsError when the files are missing or damaged.
        """
        shared = xml.with_name("weights.safetensors")
        weights = shared if shared.exists() else xml.with_suffix(".bin")
        options: dict[str, str] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        }
        try:
            if kept and (folder := writable_folder("compiled")) is not None:
                # By content: OpenVINO's own key has been seen to take an earlier graph's blob for a changed one. And by
                # precision, which that key leaves out: a graph that was prepared for bf16 is not exact in fp32.
                options["CACHE_DIR"] = str(folder / f"{digest(xml)[:16]}-{digest(weights)[:16]}-{precision}")
            if points == KNOWN and weights != shared:
                # What is kept is found without reading the graph, seconds sooner, and points to the file of weights
                # instead of repeating them. (With a shared file, and with inputs made fixed, that gives wrong results.)
                options["CACHE_MODE"] = "OPTIMIZE_SIZE" if small else "OPTIMIZE_SPEED"
                self._compiled = _core().compile_model(xml, "CPU", options)
                self._passed: dict[int, int] = {}
            else:
                if precision == "bf16":
                    # OpenVINO fuses a decoder's attention into code of its own making ("snippets"), which in bf16, with
                    # an even number of tokens and known shapes, gives other wrong results at every call.
                    options["SNIPPETS_MODE"] = "DISABLE"
                model = _core().read_model(xml, weights)
                if shapes is None:
                    known = [_fixed(port.partial_shape, points) for port in model.inputs]
                else:  # axes of no length stay open: a reshape would take the 0 for a sign
                    known = [ov.PartialShape([size or -1 for size in shape]) for shape in shapes]
                model.reshape(dict(zip(model.inputs, known, strict=True)))
                self._compiled = _core().compile_model(model, "CPU", options)
                self._passed = _passed(model)
        except (OSError, RuntimeError) as error:
            raise WeightsError(f"The graph {xml.name} could not be loaded: {str(error).splitlines()[-1]}") from error
        self._idle: list[ov.InferRequest] = []
        self._lock = threading.Lock()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the first input, where it is known."""
        return tuple(self._compiled.inputs[0].shape)

    def __call__(self, shared: Sequence[np.ndarray], each: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, ...]:
        """Outputs [B, ...] for inputs that all B runs share and inputs [B, ...] of which each run takes one row. B is 1
        without the latter."""
        shared, each = [_in_order(array) for array in shared], [_in_order(array) for array in each]
        with self._lock:
            request = self._idle.pop() if self._idle else self._compiled.create_infer_request()
        try:
            runs = len(each[0]) if each else 1
            outputs = tuple(np.empty((runs, *port.shape[1:]), np.float32) for port in self._compiled.outputs)
            for index, array in enumerate(shared):
                request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
            for run in range(runs):
                row = slice(run, run + 1)
                for index, array in enumerate(each, start=len(shared)):
                    request.set_input_tensor(index, ov.Tensor(array[row], shared_memory=True))
                for index, array in enumerate(outputs):
                    request.set_output_tensor(index, ov.Tensor(array[row], shared_memory=True))
                request.infer(share_outputs=True)
            for index, source in self._passed.items():
                outputs[index][:] = shared[source]
            return outputs
        finally:
            with self._lock:
                self._idle.append(request)


Shapes = tuple[tuple[int, ...], ...]
"""Of all inputs."""


class SizedGraphs:
    """A graph that leaves sizes of its inputs open: one is compiled for each of the last few shapes.

    That costs what a new shape costs a compiled graph of open shapes, too, which then is slower, and holds the results
    of every layer in memory of their own.
    """

    def __init__(
        self, xml: Path, precision: str, latest: int = 3, most: int = 3, idle: float = math.inf, kept: bool = True
    ) -> None:
        """`latest`: how many are held, but up to `most` where shapes come again for which there was no room; `idle`:
        calls after which one that was not asked for goes, and its room; `kept`: on the disk, too."""
        self._xml, self._precision, self._kept = xml, precision, kept
        self._least, self._latest, self._most, self._idle = latest, latest, most, idle
        self._lock = threading.Lock()
        self._sized: dict[Shapes, tuple[Graph, int]] = {}  # with the number of its last call
        self._gone: deque[Shapes] = deque(maxlen=2 * most)
        self._calls = 0

    def __call__(self, shared: Sequence[np.ndarray], each: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, ...]:
        shapes = *(array.shape for array in shared), *((1, *array.shape[1:]) for array in each)
        with self._lock:
            self._calls += 1
            graph, _ = self._sized.pop(shapes, (None, 0))
            if graph is None and shapes in self._gone:
                self._gone.remove(shapes)
                self._latest = min(self._latest + 1, self._most)
            for other, (_, last) in list(self._sized.items()):  # the latest last
                if last < self._calls - self._idle:
                    del self._sized[other]
                    self._latest = max(self._least, self._latest - 1)
                elif len(self._sized) >= self._latest:
                    del self._sized[other]
                    self._gone.append(other)
            graph = graph or Graph(self._xml, self._precision, shapes=shapes, kept=self._kept)
            self._sized[shapes] = graph, self._calls
        return graph(shared, each)


class OpenVINOInstanceNetwork:
    """A network that finds instances, as a folder with instances.xml (see `runtime/instances.py`)."""

    def __init__(self, folder: Path, precision: str) -> None:
        xml = folder / "instances.xml"
        if not xml.exists():
            raise WeightsError(f"{folder} has no instances.xml.")
        self._sized = SizedGraphs(xml, precision)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        return self._sized([image])


class OpenVINOMatteNetwork:
    """A network that finds the subject, as a folder with matte.xml (see `runtime/graphs.py`): a normalised picture
    float32 [1, C, H, W] to its answer."""

    def __init__(self, folder: Path, precision: str, open_size: bool = False) -> None:
        xml = folder / "matte.xml"
        self._graph = None if open_size else Graph(xml, precision, KNOWN, small=False)
        self._sized = SizedGraphs(xml, precision)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of its input, None where they are open."""
        if self._graph is None:
            return None
        height, width = self._graph.input_shape[2:]
        return height, width

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return (self._graph or self._sized)([image])[0]


class OpenVINOSegmentEngine:
    """A promptable network as a folder of graphs (see `runtime.engine.SegmentEngine` and `runtime/graphs.py`).

    What a picture and a lone click do not need is loaded when it is first needed.
    """

    def __init__(self, spec: ModelEntry, folder: Path, precision: str) -> None:
        self.spec = spec
        self._folder, self._precision = folder, precision
        self._lock = threading.Lock()
        self._decoders: dict[tuple[str, int], Graph] = {}
        self._encoder = Graph(folder / "encoder.xml", precision, KNOWN)
        prepare = folder / "prepare.xml"
        self._prepare = Graph(prepare, precision) if prepare.exists() else None
        click = prompt_points(spec, np.zeros((1, 1, 2)), np.ones((1, 1)))
        self._usual = click[1].shape[1]
        self._decoder("decoder", self._usual)

    def encode(self, rgb: np.ndarray) -> Features:
        return self._encoder([padded_picture(self.spec, rgb)])

    def prepare(self, features: Features) -> Embedding:
        return features if self._prepare is None else self._prepare(features)

    def decode(
        self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        prompts = prompt_points(self.spec, coords, labels)
        if mask is None:
            points = prompts[1].shape[1]
            logits, scores = self._decoder("decoder", points if points == self._usual else ANY)(embedding, prompts)
        else:
            logits, scores = self._decoder("masked", ANY)(embedding, [*prompts, mask.astype(np.float32)])
        return logits, scores

    def _decoder(self, name: str, points: int) -> Graph:
        """The graph for prompts of so many points."""
        with self._lock:
            key = name, points
            if key not in self._decoders:
                self._decoders[key] = Graph(self._folder / f"{name}.xml", self._precision, points)
            return self._decoders[key]


class OpenVINOVideoEngine(OpenVINOSegmentEngine):
    """The same of a network with a memory (see `runtime.engine.VideoEngine`); `video` is the folder of its graphs for
    videos."""

    def __init__(self, spec: ModelEntry, folder: Path, video: Path, precision: str) -> None:
        super().__init__(spec, folder, precision)
        self._video = video
        self._graphs: dict[str, Graph] = {}
        # Hundreds of MB each: two while memories grow, more where objects with memories of other lengths take turns.
        condition = video / "condition.xml"
        self._condition = SizedGraphs(condition, precision, latest=2, most=4, idle=8, kept=False)

    def alone(self, features: Features) -> Features:
        return (*self._graph("alone")(features[:1]), *features[1:])

    def condition(
        self, features: Features, rows: np.ndarray, times: np.ndarray, maps: np.ndarray, pointers: np.ndarray
    ) -> Features:
        found = self._graph("look")(features[:1])
        return (*self._condition(found, [*recalled(rows, times, len(maps)), maps, pointers]), *features[1:])

    def answer(
        self, lit: Features, coords: np.ndarray, labels: np.ndarray, earlier: np.ndarray | None = None
    ) -> Answered:
        coords, labels = video_points(coords, labels)
        coarse, *finer = lit
        each = [np.broadcast_to(coarse, (len(labels), *coarse.shape[1:])), coords, labels]
        if earlier is not None:
            each.append(bounded(earlier))
        graph = self._graph("answer" if earlier is None else "corrected")
        logits, scores, pointers, presence = graph(finer, each)
        return Answered(logits, scores, pointers, presence[:, 0])

    def adopt(self, features: Features, masks: np.ndarray) -> Answered:
        return adopted(*self._graph("adopt")(features, [masks.astype(np.float32)]))

    def remember(self, features: Features, logits: np.ndarray, presence: np.ndarray, prompted: bool) -> np.ndarray:
        hard = np.full((len(logits), 1), prompted, np.float32)
        (maps,) = self._graph("remember")(features[:1], [logits, presence[:, None], hard])
        return to_bfloat16(maps)

    def _graph(self, name: str) -> Graph:
        with self._lock:
            if name not in self._graphs:
                self._graphs[name] = Graph(self._video / f"{name}.xml", self._precision)
            return self._graphs[name]


@cache
def _core() -> ov.Core:
    return ov.Core()


def _passed(model: ov.Model) -> dict[int, int]:
    """The outputs that are nothing but an input, each with that input: OpenVINO leaves them unwritten."""
    nodes = [result.input_value(0).get_node() for result in model.get_results()]
    return {i: model.get_parameter_index(node) for i, node in enumerate(nodes) if node.get_type_name() == "Parameter"}


def _fixed(shape: ov.PartialShape, points: int) -> ov.PartialShape:
    """An input's shape for one prompt: of what is open, the first axis counts prompts and the second points."""
    sizes = [1, points, *shape][:2] + list(shape)[2:]
    return ov.PartialShape([given if size.is_dynamic else size for given, size in zip(sizes, shape, strict=True)])


def _in_order(array: np.ndarray) -> np.ndarray:
    """An array as OpenVINO can share it; a copy only where that must be. OpenVINO keeps its address, not the array."""
    return np.require(array, requirements=("C", "W"))


def has_native_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself, so that bf16 is faster than fp32 and not emulated."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
