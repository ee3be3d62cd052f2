"""What the arithmetic alone allows: how many products a network takes, and how many OpenVINO does a second here."""

import time

import numpy as np
import openvino as ov
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

SIDE = 4096


def products_of(network: nn.Module, *inputs: torch.Tensor) -> float:
    """Multiplications of a call: of matrix products, convolutions and attention, which are nearly all."""
    # Plain attention: the counter does not know the fused one of processors.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return float(counter.get_total_flops()) / 2


def products_a_second(precision: str) -> float:
    """The most that the CPU engine reaches in a product of two large square matrices, precision bf16 or f32."""
    import openvino.opset13 as ops

    first, second = (ops.parameter([SIDE, SIDE], np.float32) for _ in range(2))
    model = ov.Model([ops.matmul(first, second, False, False)], [first, second])
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
    matrices = [np.random.default_rng(seed).normal(size=(SIDE, SIDE)).astype(np.float32) for seed in range(2)]
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        request.infer(matrices)
        taken.append(time.perf_counter() - start)
    return float(SIDE**3 / min(taken))
