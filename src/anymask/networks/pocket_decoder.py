"""pocket's prompt encoder and mask decoder: Segment Anything's two-way transformer between a drawn prompt and a
convolutional mask head.

The tokens say what is asked, the *canvas* where: clicks, box and earlier mask are drawn at stride 4 and enter at
strides 16, 8 and 4. The convolutions after the transformer spread an answer from the prompt to the object's outline,
which dot products of a token with a map alone learn slowly. Shapes: B prompts, K points a prompt.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.pocket_encoder import ConvNorm, ResidualBlock, attend

LABEL_PAD, LABEL_BACKGROUND, LABEL_FOREGROUND, LABEL_BOX_START, LABEL_BOX_END, LABEL_SUBJECT = -1, 0, 1, 2, 3, 4
MASK_STRIDE = 4  # input pixels per cell of the low-resolution masks
CANVAS_CHANNELS = 8


class FourierPosition(nn.Module):
    """SAM's random Fourier features of a position: ...x2 in 0..1 -> ...xD (Tancik et al. 2020)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        generator = torch.Generator().manual_seed(20261122)
        self.register_buffer("frequencies", torch.randn(2, dim // 2, generator=generator))

    def forward(self, xy: Tensor) -> Tensor:
        places = xy.unsqueeze(-1)  # without a matrix product, which in bf16 would lose the phase of the sines
        x, y = 2 * places[..., 0, :] - 1, 2 * places[..., 1, :] - 1
        angles = 2 * torch.pi * (x * self.frequencies[0] + y * self.frequencies[1])
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def draw_canvas(coords: Tensor, labels: Tensor, mask: Tensor, has_mask: Tensor) -> Tensor:
    """The prompt as pictures at stride 4: Bx8xhxw from coords BxKx2 (input pixels), labels BxK, mask Bxhxw, has_mask B.

    Channels: previous mask's logits (squashed), whether there is one, foreground clicks (narrow, wide), background
    clicks (narrow, wide), the box's inside, whether there is a box. All are products of a column and a row profile.
    """
    batch, height, width = mask.shape
    dtype = coords.dtype
    ys = (torch.arange(height, device=coords.device, dtype=dtype) + 0.5) * MASK_STRIDE
    xs = (torch.arange(width, device=coords.device, dtype=dtype) + 0.5) * MASK_STRIDE
    dx, dy = xs - coords[..., :1], ys - coords[..., 1:]  # BxKxw, BxKxh
    maps = []
    for label in (LABEL_FOREGROUND, LABEL_BACKGROUND):
        chosen = (labels == label).to(dtype).unsqueeze(-1)
        for sigma in (5.0, 25.0):
            column = torch.exp(dy.square() * (-0.5 / sigma**2)) * chosen
            row = torch.exp(dx.square() * (-0.5 / sigma**2))
            maps.append((column.transpose(1, 2) @ row).clamp(max=1.0))
    start, end = (labels == LABEL_BOX_START).to(dtype), (labels == LABEL_BOX_END).to(dtype)
    has_box = start.sum(1).clamp(max=1.0).view(batch, 1, 1)
    low = (coords * start.unsqueeze(-1)).sum(1)  # Bx2
    high = (coords * end.unsqueeze(-1)).sum(1)
    column = torch.sigmoid((ys - low[:, 1:]) / 2) * torch.sigmoid((high[:, 1:] - ys) / 2)
    row = torch.sigmoid((xs - low[:, :1]) / 2) * torch.sigmoid((high[:, :1] - xs) / 2)
    box = column.unsqueeze(2) * row.unsqueeze(1) * has_box
    given = has_mask.to(dtype).view(batch, 1, 1)
    squashed = torch.tanh(mask / 4) * given
    flat = torch.ones_like(mask)
    return torch.stack([squashed, flat * given, *maps, box, flat * has_box], dim=1)


class Attention(nn.Module):
    """Multi-head attention at a reduced inner width, as in SAM's decoder. Queries BxQxD, keys and values BxNxD ->
    BxQxD."""

    def __init__(self, dim: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        split = [
            proj(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for proj, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        ]
        mixed = attend(split[0], split[1], split[2], bias).transpose(1, 2).flatten(2)
        attended: Tensor = self.out_proj(mixed)
        return attended


class TwoWayBlock(nn.Module):
    """SAM's two-way layer: tokens attend to each other, to the image, pass an MLP, and the image attends to them."""

    def __init__(self, dim: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.self_attention = Attention(dim, dim, heads)
        self.to_image = Attention(dim, dim // 2, heads)
        self.to_tokens = Attention(dim, dim // 2, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp), nn.ReLU(), nn.Linear(mlp, dim))
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(4)])

    def forward(
        self, tokens: Tensor, image: Tensor, token_code: Tensor, image_code: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        query = tokens + token_code
        tokens = self.norms[0](tokens + self.self_attention(query, query, tokens, bias))
        tokens = self.norms[1](tokens + self.to_image(tokens + token_code, image + image_code, image))
        tokens = self.norms[2](tokens + self.mlp(tokens))
        image = self.norms[3](image + self.to_tokens(image + image_code, tokens + token_code, tokens, bias))
        return tokens, image


class NarrowBlock(nn.Module):
    """A residual block through fewer channels (He et al. 2016's bottleneck). BxCxHxW -> same."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(channels, inner, kernel=1)
        self.mix = ConvNorm(inner, inner)
        self.expand = ConvNorm(inner, channels, kernel=1, act=False)
        nn.init.zeros_(self.expand.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.expand(self.mix(self.reduce(x)))
        return x + changed


class ScoreCorrection(nn.Module):
    """What can be read off the masks themselves of how good they are, added to the scores that the tokens give.

    The token that predicts IoU has not seen the masks. Measured of each of a prompt's masks: how sure it is of itself
    (the IoU of its probabilities with its own pixels), how stable (pixels above 1 in those above -1), how much it
    agrees with mask 0, and how large it is; a line through these for each mask. Nothing flows back into the masks.
    In: logits BxMxhxw. Out: BxM.
    """

    MEASURES = 4

    def __init__(self, masks: int) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.zeros(masks, self.MEASURES))
        self.offsets = nn.Parameter(torch.zeros(masks))

    def forward(self, logits: Tensor) -> Tensor:
        return (self.measure(logits.detach().float()) * self.slopes).sum(-1) + self.offsets

    @staticmethod
    def measure(logits: Tensor) -> Tensor:
        """BxMxhxw -> BxMx4, each in 0..1."""
        least = 1e-5  # below one cell
        probability, covered = logits.sigmoid(), (logits > 0).to(logits.dtype)
        sure, size = (probability * covered).mean((-2, -1)), covered.mean((-2, -1))
        certainty = sure / (probability.mean((-2, -1)) + size - sure + least)
        wide = (logits > -1).to(logits.dtype).mean((-2, -1))
        stability = (logits > 1).to(logits.dtype).mean((-2, -1)) / (wide + least)
        common = (covered * covered[:, :1]).mean((-2, -1))
        agreement = common / (size + size[:, :1] - common + least)
        return torch.stack([certainty, stability, agreement, size.sqrt()], dim=-1)


class PocketDecoder(nn.Module):
    """Features and a prompt to four scored masks, once per prompt.

    In: the encoder's three maps (batch 1, or the prompts' batch B); coords BxKx2 in input pixels; labels BxK (1
    foreground, 0
    background, 2 and 3 the corners of a box, 4 subject, -1 padding without effect); mask Bxhxw previous logits at
    stride 4;
    has_mask B (0 or 1).
    Out: logits Bx4xhxw, mask 0 for a clear prompt and 1..3 the readings of an ambiguous one; predicted IoU Bx4.
    """

    def __init__(self, dim: int = 192, dim8: int = 48, dim4: int = 24, heads: int = 6, layers: int = 2) -> None:
        super().__init__()
        self.position = FourierPosition(dim)
        self.label_embedding = nn.Embedding(6, dim)  # row = label + 1
        self.output_tokens = nn.Parameter(torch.randn(5, dim) * 0.5)  # predicted IoU, masks 0..3
        self.canvas16 = nn.Sequential(nn.Conv2d(CANVAS_CHANNELS, 16, 2, 2), nn.ReLU(), nn.Conv2d(16, dim, 2, 2))
        self.canvas8 = nn.Conv2d(CANVAS_CHANNELS, dim8, 2, 2)
        nn.init.zeros_(self.canvas8.weight)
        self.canvas4 = nn.Conv2d(CANVAS_CHANNELS, dim4, 1)
        self.layers = nn.ModuleList([TwoWayBlock(dim, heads, 4 * dim) for _ in range(layers)])
        self.final_attention = Attention(dim, dim // 2, heads)
        self.final_norm = nn.LayerNorm(dim)
        self.block16 = NarrowBlock(dim, dim // 2)
        self.blocks8 = nn.Sequential(ResidualBlock(dim8), ResidualBlock(dim8))
        self.up8 = nn.ConvTranspose2d(dim, dim8, 2, 2)
        self.up4 = nn.ConvTranspose2d(dim8, dim4, 2, 2)
        self.sharpen = nn.Conv2d(dim4, dim4, 3, padding=1)
        self.mask_mlps = nn.ModuleList([_mlp(dim, dim, dim4) for _ in range(4)])
        self.score_mlp = _mlp(dim, dim, 4)
        self.score_correction = ScoreCorrection(4)

    def forward(
        self, embedding: Tensor, features8: Tensor, features4: Tensor, coords: Tensor, labels: Tensor,
        mask: Tensor, has_mask: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        batch = coords.shape[0]
        rows, columns = embedding.shape[-2:]
        canvas = draw_canvas(coords, labels, mask, has_mask)

        located = ((labels >= LABEL_BACKGROUND) & (labels < LABEL_SUBJECT)).unsqueeze(-1)
        x, y = coords.split(1, dim=-1)
        places = torch.cat([x / (columns * 16.0), y / (rows * 16.0)], dim=-1)
        prompt = self.label_embedding((labels + 1).long()) + self.position(places) * located
        token_code = torch.cat([self.output_tokens.expand(batch, -1, -1), prompt.to(self.output_tokens.dtype)], dim=1)
        padded = (labels == LABEL_PAD).to(coords.dtype) * -1e4
        bias = F.pad(padded, (self.output_tokens.shape[0], 0)).view(batch, 1, 1, -1)

        # Added as tokens, not as maps: OpenVINO would fuse the sum into the convolution and then refuse to broadcast.
        image = embedding.flatten(2).transpose(1, 2) + self.canvas16(canvas).flatten(2).transpose(1, 2)  # BxNxD
        image_code = self.position(_grid(rows, columns, coords.device)).unsqueeze(0)
        tokens = token_code
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_code, image_code, bias)
        tokens = self.final_norm(tokens + self.final_attention(tokens + token_code, image + image_code, image))

        upscaled = image.transpose(1, 2).reshape(batch, -1, rows, columns)
        upscaled = self.up8(self.block16(upscaled))
        upscaled = self.blocks8(F.relu(upscaled + features8 + self.canvas8(canvas)))
        upscaled = F.relu(self.up4(upscaled) + features4 + self.canvas4(canvas))
        upscaled = upscaled + F.relu(self.sharpen(upscaled))
        weights = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.mask_mlps)], dim=1)
        logits = (weights @ upscaled.flatten(2)).unflatten(2, (rows * 4, columns * 4))
        return logits.float(), self.score_mlp(tokens[:, 0]).float() + self.score_correction(logits)


def _grid(rows: int, columns: int, device: torch.device) -> Tensor:
    """Centres of the cells in 0..1: (rows*columns)x2, x before y."""
    y, x = torch.meshgrid(
        (torch.arange(rows, device=device) + 0.5) / rows, (torch.arange(columns, device=device) + 0.5) / columns,
        indexing="ij",
    )  # fmt: skip
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
