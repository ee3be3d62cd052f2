"""The CPU engine: graphs compiled by OpenVINO, cached on disk, shared by threads."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov

from anymask.catalog import ModelEntry
from anymask.errors import WeightsError
from anymask.home import writable_folder
from anymask.runtime.engine import Embedding, Features, padded_picture, prompt_points


class Graph:
    """One compiled graph: arrays in, arrays out. Each concurrent call gets an inference request of its own."""

    def __init__(self, xml: Path, precision: str) -> None:
        """Compile the graph in `xml`, whose constants lie in the .bin file of that name or, shared with other graphs,
        in the folder's weights.safetensors; `precision` is fp32 or bf16.

        Raises WeightsError when the files are missing or damaged.
        """
        core = ov.Core()
        options: dict[str, str] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}[precision],
        }
        cache = writable_folder("graphs")
        if cache is not None:
            options["CACHE_DIR"] = str(cache)
        try:
            shared = xml.with_name("weights.safetensors")
            model = core.read_model(xml, shared if shared.exists() else xml.with_suffix(".bin"))
            self._compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise WeightsError(f"The graph {xml.name} could not be loaded: {str(error).splitlines()[-1]}") from error
        self._idle: list[ov.InferRequest] = []
        self._lock = threading.Lock()

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        with self._lock:
            request = self._idle.pop() if self._idle else None
        if request is None:
            request = self._compiled.create_infer_request()
        try:
            request.infer(inputs, share_inputs=True)
            return tuple(np.array(output.data) for output in request.output_tensors)
        finally:
            with self._lock:
                self._idle.append(request)


class OpenVINOSegmentEngine:
    """A promptable network as a folder of graphs (see `runtime.engine.SegmentEngine` and `networks/parts.py`).

    The folder holds encoder.xml, decoder.xml and, where the network has such parts, prepare.xml and masked.xml. What a
    picture without an earlier mask does not need is loaded when it is first needed.
    """

    def __init__(self, spec: ModelEntry, folder: Path, precision: str) -> None:
        self.spec = spec
        self._folder, self._precision = folder, precision
        self._encoder = self._graph("encoder")
        self._decoder = self._graph("decoder")
        self._prepare = self._graph("prepare") if (folder / "prepare.xml").exists() else None
        self._masked: Graph | None = None
        self._lock = threading.Lock()

    def _graph(self, name: str) -> Graph:
        return Graph(self._folder / f"{name}.xml", self._precision)

    def encode(self, rgb: np.ndarray) -> Features:
        return self._encoder(padded_picture(self.spec, rgb))

    def prepare(self, features: Features) -> Embedding:
        return features if self._prepare is None else self._prepare(*features)

    def decode(
        self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        graph = self._decoder if mask is None else self._masked_decoder()
        inputs = [*prompt_points(self.spec, coords, labels), *([] if mask is None else [mask.astype(np.float32)])]
        pieces: list[tuple[np.ndarray, ...]] = []
        for start in range(0, len(coords), self.spec.batch):
            part = slice(start, start + self.spec.batch)
            pieces.append(graph(*embedding, *(array[part] for array in inputs)))
        return _joined([piece[0] for piece in pieces]), _joined([piece[1] for piece in pieces])

    def _masked_decoder(self) -> Graph:
        with self._lock:
            if self._masked is None:
                self._masked = self._graph("masked")
            return self._masked


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def has_native_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself, so that bf16 is faster than fp32 and not emulated."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
