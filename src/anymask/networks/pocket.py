"""pocket: a small promptable segmentation network of anymask's own, with a subject token for background removal.

The division of labour is Segment Anything's (Kirillov et al. 2023): an image encoder that runs once per picture, a
prompt encoder and a light two-way decoder that run once per prompt. Five things differ:

* The encoder is a residual network of plain 3x3 convolutions with a few transformer blocks at stride 32. Dense
  convolutions are what two CPU cores with bf16 do best, and they train from scratch on few pictures.
* The stride-8 and stride-4 features join the decoder's upscaling, as in SAM 2 (Ravi et al. 2024), for sharp masks.
* A prompt is not only encoded as tokens but also drawn, at stride 4, on a *canvas* (clicks as Gaussians, the box as a
  soft rectangle, the previous mask as it is), so that "inside the box" and "near the click" need not be learned.
* Convolutions follow the decoder's transformer, at strides 16 and 8.
* One more prompt, the *subject* (label 4, no position), asks for the foreground of the picture.

The encoder is in pocket_encoder.py, the decoder in pocket_decoder.py.
"""

import torch
from torch import Tensor, nn

from anymask.networks.parts import Parts
from anymask.networks.pocket_decoder import PocketDecoder
from anymask.networks.pocket_encoder import ConvNorm, PocketEncoder

NEUTRAL = "decoder.score_correction."  # does nothing until it is trained; weights of before are whole without it


class Pocket(nn.Module):
    """Encoder and decoder together, as trained and as stored."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = PocketEncoder()
        self.decoder = PocketDecoder()

    def fold(self) -> dict[str, Tensor]:
        """The weights as they are shipped: each batch normalisation folded into its convolution, what is left of it a
        bias."""
        state = dict(self.state_dict())
        for name, module in self.named_modules():
            if not isinstance(module, ConvNorm):
                continue
            scale = state.pop(f"{name}.1.weight") * (state.pop(f"{name}.1.running_var") + module.norm.eps).rsqrt()
            state[f"{name}.0.weight"] = state[f"{name}.0.weight"] * scale.view(-1, 1, 1, 1)
            state[f"{name}.1.bias"] = state[f"{name}.1.bias"] - state.pop(f"{name}.1.running_mean") * scale
            del state[f"{name}.1.num_batches_tracked"]
        return state

    def load_folded(self, state: dict[str, Tensor], partly: bool = False) -> None:
        """Load what `fold` gave, or a whole state dict; constants of exported graphs ("graph.") are passed over.

        Args:
            state: the tensors by name.
            partly: an earlier version's weights will do: layers that they lack keep their own.

        Raises ValueError when the tensors are another network's.
        """
        own = {name: tensor for name, tensor in state.items() if not name.startswith("graph.")}
        try:
            missing, unexpected = self.load_state_dict(own, strict=False)
        except RuntimeError as error:
            raise ValueError("tensors are of other shapes") from error
        missing = [name for name in missing if ".1." not in name and not name.startswith(NEUTRAL)]
        if unexpected or (missing and not (partly and len(missing) < len(own) / 4)):
            raise ValueError(f"{len(missing)} tensors are missing and {len(unexpected)} do not belong there")
        for name, module in self.named_modules():
            folded = f"{name}.0.weight" in state and f"{name}.1.running_var" not in state
            if isinstance(module, ConvNorm) and folded:
                weight, norm = module.norm.weight, module.norm
                variance = torch.full_like(weight, 1 - norm.eps)
                norm.load_state_dict(
                    {**norm.state_dict(), "weight": torch.ones_like(weight), "running_var": variance,
                     "running_mean": torch.zeros_like(weight)}
                )  # fmt: skip


class ServedEncoder(nn.Module):
    """The encoder as an engine calls it: uint8 1xSxSx3 in."""

    def __init__(self, encoder: PocketEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features: tuple[Tensor, Tensor, Tensor] = self.encoder(image.permute(0, 3, 1, 2).float())
        return features


class ServedDecoder(nn.Module):
    """The decoder as an engine calls it, with an earlier mask or without: one picture's maps for all prompts, scores
    kept within 0..1."""

    def __init__(self, decoder: PocketDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, embedding: Tensor, features8: Tensor, features4: Tensor, coords: Tensor, labels: Tensor,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        given = torch.full(coords.shape[:1], float(mask is not None), device=coords.device)
        if mask is None:
            mask = torch.zeros(coords.shape[0], *features4.shape[-2:], device=coords.device)
        logits, scores = self.decoder(embedding, features8, features4, coords, labels, mask, given)
        return logits, scores.clamp(0.0, 1.0)


def build(variant: str = "") -> Pocket:
    """The network, of which there is one variant."""
    return Pocket()


def parts(network: Pocket) -> Parts:
    """What an engine runs of the network."""
    decoder = ServedDecoder(network.decoder)
    return Parts(ServedEncoder(network.encoder), None, decoder, decoder)


def from_state_dict(state: dict[str, Tensor]) -> Parts:
    """The parts of a trained network. Raises ValueError when the tensors are another network's."""
    network = Pocket()
    network.load_folded({name: tensor.float() for name, tensor in state.items()})
    return parts(network.eval())
