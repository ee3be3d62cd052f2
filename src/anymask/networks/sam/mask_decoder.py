"""SAM's mask decoder: an embedding and prompt tokens to four scored masks (Kirillov et al. 2023, §A).

Shapes: B prompts, T tokens, an embedding of 256 channels and hxw cells, masks of 4h x 4w.
"""

import torch
from torch import Tensor, nn

from anymask.networks.sam.layers import Head, LayerNorm2d
from anymask.networks.sam.transformer import TwoWayTransformer

WIDTH, MASKS = 256, 4


class MaskDecoder(nn.Module):
    """embedding Bx256xhxw with its mask prompt added, position code 1x256xhxw, prompt tokens BxKx256 ->
    logits Bx4x4hx4w, predicted IoU Bx4. Mask 0 is for a clear prompt, masks 1..3 for an ambiguous one."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        self.iou_token = nn.Embedding(1, WIDTH)
        self.mask_tokens = nn.Embedding(MASKS, WIDTH)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, WIDTH // 4, 2, 2),
            LayerNorm2d(WIDTH // 4),
            nn.GELU(),
            nn.ConvTranspose2d(WIDTH // 4, WIDTH // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(Head((WIDTH, WIDTH, WIDTH, WIDTH // 8)) for _ in range(MASKS))
        self.iou_prediction_head: nn.Module = Head((WIDTH, WIDTH, WIDTH, MASKS))

    def forward(self, embedding: Tensor, positions: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        tokens, upscaled = self.transform(embedding, positions, prompt)
        logits = (self.mask_weights(tokens) @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        return logits, self.scores(tokens)

    def transform(self, embedding: Tensor, positions: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens after the transformer, BxTx256, and the upscaled image, Bx32x4hx4w."""
        tokens = self.tokens(prompt)
        cells = embedding.flatten(2).transpose(1, 2).expand(tokens.shape[0], -1, -1)
        tokens, cells = self.transformer(cells, positions.flatten(2).transpose(1, 2), tokens)
        image = cells.transpose(1, 2).unflatten(2, embedding.shape[2:])
        return tokens, self.upscale(image)

    def upscale(self, image: Tensor) -> Tensor:
        """Bx256xhxw -> Bx32x4hx4w."""
        upscaled: Tensor = self.output_upscaling(image)
        return upscaled

    def output_tokens(self) -> Tensor:
        """The learned tokens that come before the prompt's: predicted IoU, masks 0..3; 5x256."""
        return torch.cat([self.iou_token.weight, self.mask_tokens.weight])

    def tokens(self, prompt: Tensor) -> Tensor:
        """The output tokens and the prompt's, BxTx256."""
        return torch.cat([self.output_tokens().expand(prompt.shape[0], -1, -1), prompt], dim=1)

    def mask_weights(self, tokens: Tensor) -> Tensor:
        """A weight for each upscaled channel and each mask, Bx4x32."""
        heads = enumerate(self.output_hypernetworks_mlps, start=1)
        return torch.stack([head(tokens[:, index]) for index, head in heads], dim=1)

    def scores(self, tokens: Tensor) -> Tensor:
        """Predicted IoU of each mask, Bx4, not limited to 0..1."""
        predicted: Tensor = self.iou_prediction_head(tokens[:, 0])
        return predicted
