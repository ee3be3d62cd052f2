"""EfficientSAM's mask decoder: SAM's, with changes of its own.

GELU throughout; every self-attention keeps its residual, and from the second layer on the position code stays in the
tokens; one normalisation over channels and cells together between the two steps of the upscaling.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from anymask.networks.sam import mask_decoder, transformer
from anymask.networks.sam.mask_decoder import MASKS, WIDTH
from anymask.networks.sam.transformer import HIDDEN


class MaskDecoder(mask_decoder.MaskDecoder):
    """embedding Bx256xhxw, position code 1x256xhxw, prompt tokens BxKx256 -> logits Bx4x4hx4w, predicted IoU Bx4."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        del self.output_upscaling  # which has another name here
        self.final_output_upscaling_layers = nn.Sequential(
            nn.Sequential(nn.ConvTranspose2d(WIDTH, WIDTH // 4, 2, 2), nn.GroupNorm(1, WIDTH // 4), nn.GELU()),
            nn.Sequential(nn.ConvTranspose2d(WIDTH // 4, WIDTH // 8, 2, 2), nn.GELU()),
        )
        heads = [GeluHead((WIDTH, WIDTH, WIDTH, WIDTH // 8)) for _ in range(MASKS)]
        self.output_hypernetworks_mlps = nn.ModuleList(heads)
        self.iou_prediction_head = GeluHead((WIDTH, WIDTH, WIDTH, MASKS))

    def upscale(self, image: Tensor) -> Tensor:
        upscaled: Tensor = self.final_output_upscaling_layers(image)
        return upscaled

    @property
    def upscaling(self) -> tuple[nn.ConvTranspose2d, nn.GroupNorm, nn.ConvTranspose2d]:
        """The learned layers of the upscaling, as ones with their type."""
        (first, norm, _), (second, _) = (list(step.children()) for step in self.final_output_upscaling_layers)
        assert isinstance(first, nn.ConvTranspose2d) and isinstance(norm, nn.GroupNorm)
        assert isinstance(second, nn.ConvTranspose2d)
        return first, norm, second


class TwoWayTransformer(transformer.TwoWayTransformer):
    """SAM's, of other layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(first=index == 0) for index in range(len(self.layers)))


class TwoWayLayer(transformer.TwoWayLayer):
    """SAM's, with another self-attention and a GELU."""

    def __init__(self, first: bool) -> None:
        super().__init__(first)
        self.mlp = GeluHead((WIDTH, HIDDEN, WIDTH))

    def among_tokens(self, tokens: Tensor, prompt: Tensor) -> Tensor:
        if not self.first:
            tokens = tokens + prompt
        normed: Tensor = self.norm1(tokens + self.self_attn(tokens, tokens, tokens))
        return normed


class GeluHead(nn.Module):
    """Linear layers with GELU between them, from `sizes[0]` to `sizes[-1]` channels."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *[nn.Sequential(nn.Linear(size, following), nn.GELU()) for size, following in pairwise(sizes[:-1])]
        )
        self.fc = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(self.layers(x))
        return result
