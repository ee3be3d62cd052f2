"""What SAM 2 makes of a video (Ravi et al. 2024, §4): an object on a frame, in the light of what is remembered of it.

`step` is a pure function of a frame's features, a bank of memories and perhaps a prompt; who calls it keeps the bank.
Its parts are modules of tensors alone, so that any engine can run them.
Shapes: B objects that share a bank's outline, F remembered frames and P pointers of each; features of 256 channels and
hxw cells, masks of 4h x 4w, whole masks of 16h x 16w.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.parts import VideoParts
from anymask.networks.sam2.mask_decoder import Features, settle
from anymask.networks.sam2.memory_attention import MEMORY, WIDTH
from anymask.networks.sam2.positions import of_cells, of_times
from anymask.networks.sam2.sam2 import Sam2
from anymask.networks.sam2.served_memory import Looked, Recalled, light, look

ABSENT = -1024.0  # logits of a mask whose object is not in the picture
SCALE, BIAS = 20.0, -10.0  # masks 0..1 as the memory encoder takes them, and as logits of a given mask
SHARES = WIDTH // MEMORY  # tokens that a pointer becomes
CLAMP = 32.0  # the bounds within which an earlier answer is a mask prompt
PROMPTED = 6  # the row of the temporal code of prompted frames


class Bank(NamedTuple):
    """What is remembered of B objects.

    rows: 1xF or BxF, int64, the temporal code of each remembered frame: r - 1 for the frame r steps before, r = 1..6,
    and 6 for a prompted frame, however far. times: 1xP or BxP, how many frames before each pointer was made (negative
    for those ahead), as a share of the longest time, min(frames of the video, 16) - 1.
    maps: BxFx64xhxw, the memories; pointers: BxPx256.
    """

    rows: Tensor
    times: Tensor
    maps: Tensor
    pointers: Tensor


class Answer(NamedTuple):
    """Four masks of B objects: logits Bx4x4hx4w, predicted IoU Bx4, pointers Bx4x256, presence Bx1, above 0 where the
    object is in the picture. Index 0 answers a clear prompt, 1..3 are the candidates for an ambiguous one."""

    logits: Tensor
    scores: Tensor
    pointers: Tensor
    presence: Tensor


class Seen(NamedTuple):
    """What a step finds of B objects: logits Bx4hx4w, predicted IoU B, and what is to be remembered: pointers Bx256,
    presence Bx1, maps Bx64xhxw in bfloat16, as the reference keeps them."""

    logits: Tensor
    scores: Tensor
    pointers: Tensor
    presence: Tensor
    maps: Tensor


class Alone(nn.Module):
    """See `VideoParts`."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(self, coarse: Tensor) -> tuple[Tensor]:
        return (self.network.without_memory(coarse),)


class Look(nn.Module):
    """See `VideoParts`."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(self, coarse: Tensor) -> Looked:
        return look(self.network.memory_attention, coarse)


class Condition(nn.Module):
    """See `VideoParts`."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, cells: Tensor, query: Tensor, cosine: Tensor, sine: Tensor, rows: Tensor, times: Tensor, maps: Tensor,
        pointers: Tensor,
    ) -> tuple[Tensor]:  # fmt: skip
        network = self.network
        height, width = maps.shape[3:]
        code = of_cells(MEMORY, height, width, maps.device).flatten(2).transpose(1, 2)  # 1xNx64
        remembered = maps.flatten(3).transpose(2, 3)
        tokens = pointers.unflatten(2, (SHARES, MEMORY)).flatten(1, 2)
        timed = tokens
        if network.obj_ptr_tpos_proj is not None:  # version 2.0 is not told when a pointer was made
            when = network.obj_ptr_tpos_proj(of_times(times.flatten(), WIDTH)).unflatten(0, times.shape)
            timed = tokens + when.repeat_interleave(SHARES, dim=1)
        placed = remembered + code + network.maskmem_tpos_enc.flatten(1)[rows].unsqueeze(2)
        memory = Recalled(placed, timed, torch.cat([remembered.flatten(1, 2), tokens], dim=1))
        return (light(network.memory_attention, Looked(cells, query, cosine, sine), memory, height, width),)


class Answering(nn.Module):
    """See `VideoParts`, answer and corrected."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, middle: Tensor, fine: Tensor, coarse: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None
    ) -> Answer:
        found = self.network.decode(Features(coarse, middle, fine), coords, labels, mask)
        single, score = settle(found.logits, found.scores)
        present = found.presence > 0
        logits = torch.cat([single, found.logits[:, 1:]], dim=1)
        logits = torch.where(present.unsqueeze(2).unsqueeze(3), logits, ABSENT)
        pointers = self.network.obj_ptr_proj(found.tokens)
        pointers = torch.where(present.unsqueeze(2), pointers, self.network.no_obj_ptr)
        return Answer(logits, torch.cat([score, found.scores[:, 1:]], dim=1), pointers, found.presence)


class Adopt(nn.Module):
    """See `VideoParts`."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network, self.answering = network, Answering(network)

    def forward(self, coarse: Tensor, middle: Tensor, fine: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mask = self.network.mask_downsample(masks.unsqueeze(1)).squeeze(1)
        nowhere = torch.zeros(len(masks), 2, 2, device=masks.device), -torch.ones(len(masks), 2, device=masks.device)
        pointers = self.answering(middle, fine, coarse, *nowhere, mask).pointers[:, 0]
        present = masks.flatten(1).amax(dim=1, keepdim=True) > 0
        pointers = torch.where(present, pointers, self.network.no_obj_ptr)
        return reduce(SCALE * masks + BIAS), pointers, SCALE * present.to(masks.dtype) + BIAS


class Remember(nn.Module):
    """See `VideoParts`."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(self, coarse: Tensor, logits: Tensor, presence: Tensor, hard: Tensor) -> tuple[Tensor]:
        whole = F.interpolate(logits.unsqueeze(1), scale_factor=4.0, mode="bilinear", align_corners=False)
        masks = torch.where(hard.view(-1, 1, 1, 1) > 0, (whole > 0).to(whole.dtype), whole.sigmoid())
        maps: Tensor = self.network.memory_encoder(coarse, SCALE * masks + BIAS)
        absent = self.network.no_obj_embed_spatial
        if absent is not None:
            maps = maps + torch.where(presence > 0, 0.0, absent).unsqueeze(2).unsqueeze(3)
        return (maps,)


def video_parts(network: Sam2) -> VideoParts:
    """What an engine runs of the network for a video."""
    answering = Answering(network)
    return VideoParts(
        Alone(network), Look(network), Condition(network), answering, answering, Adopt(network), Remember(network)
    )


def step(
    network: Sam2, features: Features, bank: Bank | None = None, coords: Tensor | None = None,
    labels: Tensor | None = None, earlier: Tensor | None = None,
) -> Seen:  # fmt: skip
    """B objects on a frame whose `Features` are given as they were encoded.

    bank: what is remembered of them; None on the first frame that they are prompted on.
    coords BxKx2 (input pixels), labels BxK: the prompt; both None where there is none.
    earlier: logits Bx4hx4w that the prompt corrects.
    Of a frame with one point or none the best of three masks is taken, a box counting as two points.
    """
    parts = video_parts(network)
    if bank is None:
        (coarse,) = parts.alone(features.coarse)
        objects = 1 if coords is None else len(coords)
    else:
        (coarse,) = parts.condition(*parts.look(features.coarse), *bank)
        objects = len(coarse)
    prompted = coords is not None and labels is not None
    points = labels.shape[1] if labels is not None else 0
    coords, labels = padded(coords, labels, objects, coarse.device)
    given = (features.middle, features.fine, coarse, coords, labels)
    found = parts.answer(*given) if earlier is None else parts.corrected(*given, earlier.clamp(-CLAMP, CLAMP))
    best = 1 + found.scores[:, 1:].argmax(dim=1) if points < 2 else torch.zeros_like(labels[:, 0], dtype=torch.long)
    row = torch.arange(objects, device=coarse.device)
    logits, pointers = found.logits[row, best], found.pointers[row, best]
    hard = torch.full((objects, 1), float(prompted), device=coarse.device)
    (maps,) = parts.remember(features.coarse, logits, found.presence, hard)
    return Seen(logits, found.scores[row, best], pointers, found.presence, maps.bfloat16())


def adopt(network: Sam2, features: Features, masks: Tensor) -> Seen:
    """B objects whose masks Bx16hx16w (0 or 1) on a frame are given: they are believed as they are."""
    parts = video_parts(network)
    logits, pointers, presence = parts.adopt(*features, masks)
    sure = torch.ones(len(masks), 1, device=masks.device)
    (maps,) = parts.remember(features.coarse, logits, presence, sure)
    return Seen(logits, sure[:, 0], pointers, presence, maps.bfloat16())


def padded(coords: Tensor | None, labels: Tensor | None, objects: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """A prompt as the decoder takes it on a video's frame: a padding point after the points, and two where there are
    none."""
    if coords is None or labels is None:
        coords, labels = torch.zeros(objects, 1, 2, device=device), -torch.ones(objects, 1, device=device)
    return F.pad(coords, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1.0)


def reduce(maps: Tensor) -> Tensor:
    """Maps BxHxW at a quarter of the size, each value a weighted mean of those around it (a bilinear filter as wide as
    the reduction): Bx(H/4)x(W/4)."""
    rows, columns = (_quarter(length, maps.device) for length in maps.shape[1:])
    return rows @ maps @ columns.T


def _quarter(length: int, device: torch.device) -> Tensor:
    """The weights of `reduce` along an axis, (length/4)xlength."""
    centre = 4 * torch.arange(length // 4, device=device).unsqueeze(1) + 1.5
    weights = (1 - (torch.arange(length, device=device) - centre).abs() / 4).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)
