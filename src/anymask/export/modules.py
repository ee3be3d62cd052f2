"""A network's parts with the inputs and outputs of Meta's exported decoder, and an encoder to go with it.

Shapes: a square input of S pixels, B prompts of K points, M low-resolution masks of h x w.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.catalog import ModelEntry


class PictureEncoder(nn.Module):
    """input_image HxWx3 (float32 RGB, 0..255, H and W at most S, already of the network's scale) -> features.

    `encoder` takes 1xSxSx3: the padding is added here.
    """

    def __init__(self, spec: ModelEntry, encoder: nn.Module) -> None:
        super().__init__()
        self.side, self.padding, self.encoder = spec.input.side, spec.input.padding, encoder

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        padding = torch.tensor(self.padding, dtype=torch.float32)
        height, width = image.shape[:2]
        image = torch.cat([image, padding.expand(height, self.side - width, 3)], dim=1)
        image = torch.cat([image, padding.expand(self.side - height, self.side, 3)], dim=0)
        features: tuple[Tensor, ...] = self.encoder(image.unsqueeze(0))
        return features


class PromptDecoder(nn.Module):
    """Features, point_coords BxKx2 (input pixels), point_labels BxK, mask_input Bx1xhxw and has_mask_input 1 (0 or 1)
    where the network takes a mask, orig_im_size 2 (the picture's height and width; all float32)
    -> masks BxMxheightxwidth, iou_predictions BxM, low_res_masks BxMxhxw, all logits.

    prepare, decoder, masked: the parts of a network (see `networks/parts.py`).
    """

    def __init__(
        self, spec: ModelEntry, prepare: nn.Module | None, decoder: nn.Module, masked: nn.Module | None, single: bool
    ) -> None:
        super().__init__()
        self.side, self.fit, self.enlarge = spec.input.side, spec.input.fit, spec.enlarge
        self.prepare, self.decoder, self.masked, self.single = prepare, decoder, masked, single

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        *features, coords, labels, size = inputs
        masked = self.masked
        if masked is None:
            low, scores = self.decoder(*self._embedding(features), coords, labels)
        else:
            *features, coords, labels, mask, given, size = inputs
            # A choice within the graph: the unmasked decoder has less to do.
            low, scores = torch.cond(
                given[0] > 0,
                lambda embedding, coords, labels, mask: masked(*embedding, coords, labels, mask),
                lambda embedding, coords, labels, mask: self.decoder(*embedding, coords, labels),
                (self._embedding(features), coords, labels, mask.squeeze(1)),
            )
        if self.single:
            low, scores = single_mask(low, scores, coords.shape[1])
        return self._enlarged(low, size), scores, low

    def _embedding(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        return tuple(features) if self.prepare is None else tuple(self.prepare(*features))

    def _enlarged(self, logits: Tensor, size: Tensor) -> Tensor:
        """Logits at the picture's size: enlarged to the input, the padding cut off, enlarged to the picture."""
        height, width = _lengths(size)
        if self.enlarge == "bicubic":
            return F.interpolate(logits, (height, width), mode="bicubic")
        if self.enlarge == "bilinear-once":
            return F.interpolate(logits, (height, width), mode="bilinear")
        logits = F.interpolate(logits, (self.side, self.side), mode="bilinear")
        if self.fit == "letterbox":
            exact = size.double()  # rounded as `Placement` does
            rows, columns = _lengths(torch.floor(exact * (self.side / exact.max()) + 0.5))
            torch._check(rows <= self.side)
            torch._check(columns <= self.side)
            logits = logits[:, :, :rows, :columns]
        return F.interpolate(logits, (height, width), mode="bilinear")


def single_mask(logits: Tensor, scores: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Of masks BxMxhxw and scores BxM one each: mask 0 for more than two points, else the best of the others."""
    lead = torch.zeros(scores.shape[1])
    lead[0] = 1000.0
    best = (scores + (points - 2.5) * lead).argmax(dim=1, keepdim=True)
    chosen = best.unsqueeze(2).unsqueeze(3).expand(-1, -1, *logits.shape[2:])
    return logits.gather(1, chosen), scores.gather(1, best)


def _lengths(size: Tensor) -> tuple[int, int]:
    """Two lengths as numbers of which `torch.export` knows that they are positive."""
    height, width = size.long().tolist()
    torch._check(height >= 1)
    torch._check(width >= 1)
    return height, width
