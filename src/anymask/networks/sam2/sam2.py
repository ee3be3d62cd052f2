"""SAM 2 whole (Ravi et al. 2024), as published and as stored; here what it makes of a picture.

What it makes of a video is in `video.py`.
"""

import torch
from torch import Tensor, nn

from anymask.networks.sam.layers import Head
from anymask.networks.sam.prompt_encoder import PromptEncoder
from anymask.networks.sam.sam import normalize
from anymask.networks.sam2.hiera import Size
from anymask.networks.sam2.image_encoder import ImageEncoder
from anymask.networks.sam2.mask_decoder import Decoded, Features, MaskDecoder
from anymask.networks.sam2.memory_attention import MEMORY, WIDTH, MemoryAttention
from anymask.networks.sam2.memory_encoder import MemoryEncoder

MEMORIES = 7  # temporal codes: of the frame just before to the sixth before, and of prompted frames


class Sam2(nn.Module):
    """A picture and prompts to four scored masks. The plain computation, of which `served.parts` is the fast one.

    `improved` is version 2.1: it knows when an object pointer was made, and marks the memory of an absent object.
    """

    def __init__(self, size: Size, improved: bool) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(size)
        self.mask_downsample = nn.Conv2d(1, 1, 4, 4)
        self.memory_attention = MemoryAttention()
        self.memory_encoder = MemoryEncoder()
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(MEMORIES, 1, 1, MEMORY))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, WIDTH))  # stored, and of no use
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, WIDTH))
        self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, MEMORY)) if improved else None
        self.sam_prompt_encoder = PromptEncoder()
        self.sam_mask_decoder = MaskDecoder()
        self.obj_ptr_proj = Head((WIDTH, WIDTH, WIDTH, WIDTH))
        self.obj_ptr_tpos_proj = nn.Linear(WIDTH, MEMORY) if improved else None

    def forward(self, image: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None) -> Decoded:
        """image 1xSxSx3 (0..255), coords BxKx2 in input pixels, labels BxK, mask BxHxW logits -> `Decoded`."""
        features = self.encode(image)
        return self.decode(features._replace(coarse=self.without_memory(features.coarse)), coords, labels, mask)

    def encode(self, image: Tensor) -> Features:
        """image 1xSxSx3 (0..255) -> the picture's features, for a video or, `without_memory`, by itself."""
        fine, middle, coarse = self.image_encoder(normalize(image))
        return Features(coarse, self.sam_mask_decoder.conv_s1(middle), self.sam_mask_decoder.conv_s0(fine))

    def without_memory(self, coarse: Tensor) -> Tensor:
        """Coarse features 1x256xhxw of a picture by itself, or of the first frame that an object was prompted on."""
        return coarse + self.no_mem_embed.view(1, WIDTH, 1, 1)

    def decode(self, features: Features, coords: Tensor, labels: Tensor, mask: Tensor | None = None) -> Decoded:
        """As `forward`, from features that know of memory or its absence, 1x or Bx.

        The order of the points, a box's corners and padding among them, does not matter.
        """
        encoder = self.sam_prompt_encoder
        own = encoder.no_mask() if mask is None else encoder.mask(mask)
        prompted = features._replace(coarse=features.coarse + own)
        decoded: Decoded = self.sam_mask_decoder(prompted, encoder.positions(), encoder(coords, labels))
        return decoded
