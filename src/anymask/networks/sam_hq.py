"""SAM-HQ (Ke et al. 2023): SAM with one more output token, whose mask is read from finer features.

Those are SAM's upscaled image, its embedding, and the encoder's tokens after its first global block, brought together
at four times the embedding's size. The finished mask is the sum of SAM's logits and of the token's.
Shapes: B prompts, T tokens, an embedding of 256 channels and hxw cells, masks of 4h x 4w.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.parts import Parts
from anymask.networks.sam.image_encoder import SIZES, ImageEncoder
from anymask.networks.sam.layers import Head, LayerNorm2d
from anymask.networks.sam.mask_decoder import MASKS, WIDTH, MaskDecoder
from anymask.networks.sam.sam import Sam, normalize
from anymask.networks.sam.served import Embedding, Prepare, picture_order, prompted, upscale
from anymask.networks.tiny_vit import TinyVit

FINE = WIDTH // 8  # channels of what masks are read from


class HqMaskDecoder(MaskDecoder):
    """SAM's mask decoder with the high-quality token; `early` is the width of the encoder's early tokens."""

    def __init__(self, early: int) -> None:
        super().__init__()
        self.hf_token = nn.Embedding(1, WIDTH)
        self.hf_mlp = Head((WIDTH, WIDTH, WIDTH, FINE))
        self.compress_vit_feat = _enlarge(early, WIDTH)
        self.embedding_encoder = _enlarge(WIDTH, WIDTH // 4)
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(FINE, 2 * FINE, 3, padding=1),
            LayerNorm2d(2 * FINE),
            nn.GELU(),
            nn.Conv2d(2 * FINE, FINE, 3, padding=1),
        )

    def output_tokens(self) -> Tensor:
        """SAM's five and the high-quality token, 6x256."""
        return torch.cat([super().output_tokens(), self.hf_token.weight])

    def features(self, embedding: Tensor, early: Tensor) -> Tensor:
        """The picture's share of the fine features: embedding 1x256xhxw, early 1xhxwxC -> 1x32x4hx4w."""
        fine: Tensor = self.embedding_encoder(embedding) + self.compress_vit_feat(early.permute(0, 3, 1, 2))
        return fine

    def fine_weights(self, tokens: Tensor) -> Tensor:
        """A weight for each fine channel, Bx1x32."""
        weights: Tensor = self.hf_mlp(tokens[:, MASKS + 1])
        return weights.unsqueeze(1)

    def readings(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Weights Bx2x32 and predicted IoU Bx2: of SAM's mask for a clear prompt, and of the best by predicted IoU of
        the three for an ambiguous one."""
        weights, scores = self.mask_weights(tokens), self.scores(tokens)
        best = scores[:, 1:].argmax(dim=1, keepdim=True) + 1
        best_weights = weights.gather(1, best.unsqueeze(2).expand(-1, -1, FINE))
        return torch.cat([weights[:, :1], best_weights], dim=1), torch.cat([scores[:, :1], scores.gather(1, best)], 1)


class SamHq(Sam):
    """A picture and prompts to two scored masks, the answer to a clear prompt and that to an ambiguous one."""

    mask_decoder: HqMaskDecoder

    def forward(
        self, image: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None, hq_token_only: bool = False
    ) -> tuple[Tensor, Tensor]:
        """As `Sam.forward` -> logits Bx2x4hx4w, predicted IoU Bx2. `hq_token_only` leaves out SAM's own logits."""
        embedding, early = self.image_encoder(normalize(image))
        features = self.mask_decoder.features(embedding, early)
        return self.decode_fine(embedding, features, coords, labels, mask, hq_token_only)

    def decode_fine(
        self, embedding: Tensor, features: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None,
        hq_token_only: bool = False,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """As `forward`, from the embedding 1x256xhxw and the fine features 1x32x4hx4w."""
        decoder = self.mask_decoder
        prompt, dense = self.prompted(embedding, coords, labels, mask)
        tokens, upscaled = decoder.transform(dense, self.prompt_encoder.positions(), prompt)
        weights, scores = decoder.readings(tokens)
        fine = decoder.embedding_maskfeature(upscaled) + features
        logits = decoder.fine_weights(tokens) @ fine.flatten(2)
        logits = logits.expand(-1, 2, -1) if hq_token_only else weights @ upscaled.flatten(2) + logits
        return logits.reshape(-1, 2, *upscaled.shape[2:]), scores


def build(variant: str) -> SamHq:
    """The network of a size ("vit_b", "vit_l", "vit_h", "tiny"), its weights not yet loaded."""
    if variant == "tiny":
        return SamHq(TinyVit(), HqMaskDecoder(early=160))
    return SamHq(ImageEncoder(*SIZES[variant]), HqMaskDecoder(early=SIZES[variant][0]))


def parts(network: SamHq) -> Parts:
    """What an engine runs of the network. `masked` is the decoder called with one more argument."""
    decoder = HqDecoder(network)
    return Parts(HqEncoder(network), HqPrepare(network), decoder, decoder)


class HqEncoder(nn.Module):
    """image 1xSxSx3 (0..255, padded with the mean) -> embedding 1x256xhxw, fine features 1x32x4hx4w."""

    def __init__(self, network: SamHq) -> None:
        super().__init__()
        self.image_encoder, self.mask_decoder = network.image_encoder, network.mask_decoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        embedding, early = self.image_encoder(normalize(image))
        return embedding, self.mask_decoder.features(embedding, early)


class HqPrepare(nn.Module):
    """The encoder's features -> `Embedding` and the fine features."""

    def __init__(self, network: SamHq) -> None:
        super().__init__()
        self.prepare = Prepare(network)

    def forward(self, embedding: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        return *self.prepare(embedding), features


class HqDecoder(nn.Module):
    """`Embedding`, fine features, coords BxKx2 (input pixels), labels BxK, perhaps mask Bx4hx4w -> logits Bx2x4hx4w,
    predicted IoU Bx2."""

    def __init__(self, network: SamHq) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = network.prompt_encoder, network.mask_decoder

    def forward(
        self, cells: Tensor, first_key: Tensor, first_value: Tensor, first_query: Tensor, second_key: Tensor,
        second_query: Tensor, final_key: Tensor, features: Tensor, coords: Tensor, labels: Tensor,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        decoder = self.mask_decoder
        image = Embedding(cells, first_key, first_value, first_query, second_key, second_query, final_key)
        tokens, cells = prompted(self.prompt_encoder, decoder, image, coords, labels, mask)
        upscaled = picture_order(upscale(decoder, cells).transpose(1, 2), self.prompt_encoder.grid)
        weights, scores = decoder.readings(tokens)
        fine_weights = decoder.fine_weights(tokens)
        logits = weights @ upscaled.flatten(2) + fine_weights @ features.flatten(2)
        logits = logits.unflatten(2, upscaled.shape[2:]) + fine_logits(decoder, upscaled, fine_weights)
        return logits.float(), scores.float()


def fine_logits(decoder: HqMaskDecoder, upscaled: Tensor, weights: Tensor) -> Tensor:
    """`weights` Bx1x32 times `embedding_maskfeature` of the upscaled image Bx32xHxW -> Bx1xHxW.

    Its last convolution is followed by nothing but that product, so the prompt's weights are taken into the kernel:
    nine taps of one channel, shifted and added, in place of nine of 32.
    """
    first, norm, _, last = decoder.embedding_maskfeature
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    height, width = upscaled.shape[2:]
    middle = F.gelu(norm(first(upscaled)))
    kernel = (weights @ last.weight.permute(0, 2, 3, 1).flatten(1)).unflatten(2, (9, -1)).squeeze(1)  # Bx9x64
    taps = F.pad((kernel @ middle.flatten(2)).unflatten(2, (height, width)), (1, 1, 1, 1))
    shifted = [taps[:, 3 * i + j, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.stack(shifted).sum(dim=0).unsqueeze(1) + (weights @ last.bias).unsqueeze(2).unsqueeze(3)


def _enlarge(inputs: int, hidden: int) -> nn.Sequential:
    """Two doublings, to the channels that masks are read from."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, hidden, 2, 2),
        LayerNorm2d(hidden),
        nn.GELU(),
        nn.ConvTranspose2d(hidden, FINE, 2, 2),
    )
