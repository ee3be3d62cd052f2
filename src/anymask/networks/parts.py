"""What an engine runs of a promptable network: up to four modules, each of which becomes one graph."""

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
