"""What an engine runs of a promptable network: a few modules, each of which becomes one graph."""

from typing import NamedTuple

from torch import nn


class Parts(NamedTuple):
    """A network taken apart by how often each part runs. All are called without keywords, under `torch.no_grad`.

    encoder: image 1xSxSx3 (float32, 0..255; uint8 for pocket) -> tuple of features. Once per picture.
    prepare: *features -> tuple, the embedding: all else that depends on the picture alone. Once per picture. None where
        the features are the embedding.
    decoder: *embedding, coords BxKx2 (float32, input pixels), labels BxK (float32: 1 foreground, 0 background, 2 and 3
        the corners of a box, -1 padding) -> logits Bx(1+C)xhxw and predicted IoU Bx(1+C), both float32. Index 0 is the
        answer to a clear prompt, the others are the candidates for an ambiguous one. Once per batch of prompts.
    masked: as decoder, with a last argument mask Bxhxw (float32, previous logits). None where the network takes none.
    """

    encoder: nn.Module
    prepare: nn.Module | None
    decoder: nn.Module
    masked: nn.Module | None


class VideoParts(NamedTuple):
    """What an engine runs, beside the encoder, of a network that remembers objects from frame to frame.

    B objects, of which F frames and P pointers are remembered; what they share comes first. Masks are of h x w, whole
    masks of S x S. The features are the encoder's; `coarse` is the first of them, 1xCxMxM, the others are `finer`.

    alone: coarse -> (coarse of a frame without memory,), 1xCxMxM.
    look: coarse -> tuple, what of a frame in the light of memory is the same for all objects. Once per frame.
    condition: what `look` gave, rows 1xF or BxF (int64, the temporal code of each frame: r - 1 for the frame r steps
        before, r = 1..6, and 6 for a prompted frame, however far), times 1xP or BxP (float32, how long before each
        pointer was made, as a share of the longest time), maps BxFxcxMxM, pointers BxPxC -> (coarse in the light of
        memory,), BxCxMxM.
    answer: *finer, coarse that one of these two made, coords BxKx2 (float32, input pixels), labels BxK (1 foreground,
        0 background, 2 and 3 the corners of a box, -1 padding, at least one of them) -> logits Bx(1+C)xhxw, predicted
        IoU Bx(1+C), pointers Bx(1+C)xC, presence Bx1 (above 0 where the object is in the picture). Index 0 is the
        answer to a clear prompt, the others are the candidates for an ambiguous one.
    corrected: as answer, with a last argument, earlier logits Bxhxw within -32..32.
    adopt: *features and given masks BxSxS (0 or 1) -> logits Bxhxw, pointers BxC, presence Bx1.
    remember: coarse, logits Bxhxw, presence Bx1, hard Bx1 (1 where the mask was prompted, else 0)
        -> (maps BxcxMxM,), which are kept in bfloat16.
    """

    alone: nn.Module
    look: nn.Module
    condition: nn.Module
    answer: nn.Module
    corrected: nn.Module
    adopt: nn.Module
    remember: nn.Module
