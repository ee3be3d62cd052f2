"""SAM 2's mask decoder: SAM's, with two finer maps of the picture and a token that says whether the object is there.

Ravi et al. 2024, §C. Shapes: B prompts, T tokens, features of 256 channels and hxw cells, masks of 4h x 4w.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from anymask.networks.sam.layers import Head, LayerNorm2d
from anymask.networks.sam.mask_decoder import MASKS
from anymask.networks.sam.transformer import HIDDEN, WIDTH, TwoWayTransformer

OTHERS = 2  # output tokens before the masks'
STABLE, OFFSET = 0.98, 0.05


class Features(NamedTuple):
    """A picture as the decoder reads it: coarse 1x256xhxw; middle 1x64x2hx2w and fine 1x32x4hx4w, projected from the
    finer maps once per picture."""

    coarse: Tensor
    middle: Tensor
    fine: Tensor


class Decoded(NamedTuple):
    """Four masks: logits Bx4x4hx4w, predicted IoU Bx4 in 0..1, their tokens Bx4x256; and Bx1, above 0 where the object
    is in the picture. Mask 0 is for a clear prompt, masks 1..3 for an ambiguous one."""

    logits: Tensor
    scores: Tensor
    tokens: Tensor
    presence: Tensor


class MaskDecoder(nn.Module):
    """`Features` whose coarse map has the mask prompt added (Bx256xhxw), position code 1x256xhxw, prompt tokens BxKx256
    -> `Decoded`."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        for layer in self.transformer.both:
            layer.mlp = Head((WIDTH, HIDDEN, WIDTH))  # SAM's, under other names
        self.obj_score_token = nn.Embedding(1, WIDTH)
        self.iou_token = nn.Embedding(1, WIDTH)
        self.mask_tokens = nn.Embedding(MASKS, WIDTH)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, WIDTH // 4, 2, 2),
            LayerNorm2d(WIDTH // 4),
            nn.GELU(),
            nn.ConvTranspose2d(WIDTH // 4, WIDTH // 8, 2, 2),
            nn.GELU(),
        )
        self.conv_s0 = nn.Conv2d(WIDTH, WIDTH // 8, 1)
        self.conv_s1 = nn.Conv2d(WIDTH, WIDTH // 4, 1)
        self.output_hypernetworks_mlps = nn.ModuleList(Head((WIDTH, WIDTH, WIDTH, WIDTH // 8)) for _ in range(MASKS))
        self.iou_prediction_head = Head((WIDTH, WIDTH, WIDTH, MASKS))
        self.pred_obj_score_head = Head((WIDTH, WIDTH, WIDTH, 1))

    def forward(self, features: Features, positions: Tensor, prompt: Tensor) -> Decoded:
        tokens = self.tokens(prompt)
        cells = features.coarse.flatten(2).transpose(1, 2).expand(tokens.shape[0], -1, -1)
        tokens, cells = self.transformer(cells, positions.flatten(2).transpose(1, 2), tokens)
        upscaled = self.upscale(cells.transpose(1, 2).unflatten(2, features.coarse.shape[2:]), features)
        logits = (self.mask_weights(tokens) @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        return Decoded(logits, self.scores(tokens), self.of_masks(tokens), self.presence(tokens))

    def upscale(self, image: Tensor, features: Features) -> Tensor:
        """Bx256xhxw and the finer features -> Bx32x4hx4w."""
        first, norm, act, second, last = self.output_upscaling
        doubled = act(norm(first(image) + features.middle))
        upscaled: Tensor = last(second(doubled) + features.fine)
        return upscaled

    def tokens(self, prompt: Tensor) -> Tensor:
        """The output tokens (presence, predicted IoU, masks 0..3) and the prompt's, BxTx256."""
        own = torch.cat([self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        return torch.cat([own.expand(prompt.shape[0], -1, -1), prompt], dim=1)

    def of_masks(self, tokens: Tensor) -> Tensor:
        """The tokens of the masks, Bx4x256."""
        # One by one: a slice of so many tokens would be exported with an open length.
        return torch.stack([tokens[:, OTHERS + mask] for mask in range(MASKS)], dim=1)

    def mask_weights(self, tokens: Tensor) -> Tensor:
        """A weight for each upscaled channel and each mask, Bx4x32."""
        heads = enumerate(self.output_hypernetworks_mlps, start=OTHERS)
        return torch.stack([head(tokens[:, index]) for index, head in heads], dim=1)

    def scores(self, tokens: Tensor) -> Tensor:
        """Predicted IoU of each mask, Bx4, 0..1."""
        predicted: Tensor = self.iou_prediction_head(tokens[:, 1]).sigmoid()
        return predicted

    def presence(self, tokens: Tensor) -> Tensor:
        """The object's score, Bx1."""
        score: Tensor = self.pred_obj_score_head(tokens[:, 0])
        return score


def settle(logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The answer to a clear prompt: mask 0 of logits Bx4xHxW and scores Bx4, or, where its border is vague, the best by
    predicted IoU of masks 1..3 -> Bx1xHxW, Bx1.

    Vague is a mask whose area changes by 2 % between thresholds 0.05 above and below 0 (the reference's "dynamic
    multimask via stability").
    """
    single = logits[:, 0].flatten(1)
    inner, outer = ((single > offset).float().sum(dim=1) for offset in (OFFSET, -OFFSET))
    stable = inner >= STABLE * outer  # also where the mask is empty
    best = torch.where(stable, 0, 1 + scores[:, 1:].argmax(dim=1)).unsqueeze(1)
    chosen = best.unsqueeze(2).unsqueeze(3).expand(-1, -1, *logits.shape[2:])
    return logits.gather(1, chosen), scores.gather(1, best)
