"""pocket: a small promptable segmentation network of anymask's own, with a subject token for background removal.

The division of labour is Segment Anything's (Kirillov et al. 2023): an image encoder that runs once per picture, a
prompt
encoder and a light two-way decoder that run once per prompt. Four things differ:

* The encoder is a residual network of plain 3x3 convolutions with a few transformer blocks at stride 32. Dense
  convolutions are what two CPU cores with bf16 do best, and they train from scratch on few pictures.
* The stride-8 and stride-4 features join the decoder's upscaling, as in SAM 2 (Ravi et al. 2024), for sharp masks.
* A prompt is not only encoded as tokens but also drawn, at stride 4, on a *canvas* (clicks as Gaussians, the box as a
  soft rectangle, the previous mask as it is), so that "inside the box" and "near the click" need not be learned.
* One more prompt, the *subject* (label 4, no position), asks for the foreground of the picture.

Shapes: B pictures or prompts, K points a prompt, S the input side (512 in use, any multiple of 32 in training).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.parts import Parts

LABEL_PAD, LABEL_BACKGROUND, LABEL_FOREGROUND, LABEL_BOX_START, LABEL_BOX_END, LABEL_SUBJECT = -1, 0, 1, 2, 3, 4
MASK_STRIDE = 4  # input pixels per cell of the low-resolution masks
CANVAS_CHANNELS = 8


class ConvNorm(nn.Sequential):
    """3x3 (or `kernel`) convolution and batch normalisation, with a ReLU unless `act` is false."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, act: bool = True) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), *([nn.ReLU()] if act else []))

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch normalisation, as one with its type."""
        layer = self[1]
        assert isinstance(layer, nn.BatchNorm2d)
        return layer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity (He et al. 2016). BxCxHxW -> BxCxHxW."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels)
        self.conv2 = ConvNorm(channels, channels, act=False)
        nn.init.zeros_(self.conv2.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv2(self.conv1(x))
        return F.relu(x + changed)


class TransformerBlock(nn.Module):
    """Pre-norm global self-attention over a feature map; a depthwise convolution gives positions. BxCxHxW -> same."""

    def __init__(self, channels: int, heads: int, expansion: int = 3) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = (x + self.position(x)).flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm1(tokens)).reshape(batch, height * width, 3, self.heads, channels // self.heads)
        mixed = _attend(*qkv.permute(2, 0, 3, 1, 4).unbind(0)).transpose(1, 2).flatten(2)
        tokens = tokens + self.proj(mixed)
        tokens = tokens + self.mlp(self.norm2(tokens))
        result: Tensor = tokens.transpose(1, 2).reshape(batch, channels, height, width)
        return result


class PocketEncoder(nn.Module):
    """Picture to features, once per picture.

    In: Bx3xSxS, RGB in 0..255, the picture at the top left, the rest filled with the mean colour (124, 116, 104).
    Out: embedding BxDx(S/16)x(S/16), features BxD8x(S/8)x(S/8) and BxD4x(S/4)x(S/4).
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (48, 96, 192, 320),
        depths: tuple[int, int, int, int] = (2, 3, 4, 3),
        heads: int = 10,
        dim: int = 192,
        dim8: int = 48,
        dim4: int = 24,
    ) -> None:
        super().__init__()
        w4, w8, w16, w32 = widths
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor((123.675, 116.28, 103.53)).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor((58.395, 57.12, 57.375)).view(3, 1, 1), persistent=False)
        self.stem = nn.Sequential(ConvNorm(3, w4 // 2, stride=2), ConvNorm(w4 // 2, w4, stride=2))
        self.stage4 = nn.Sequential(*[ResidualBlock(w4) for _ in range(depths[0])])
        self.stage8 = nn.Sequential(ConvNorm(w4, w8, stride=2), *[ResidualBlock(w8) for _ in range(depths[1])])
        self.stage16 = nn.Sequential(ConvNorm(w8, w16, stride=2), *[ResidualBlock(w16) for _ in range(depths[2])])
        self.stage32 = nn.Sequential(
            ConvNorm(w16, w32, stride=2), *[TransformerBlock(w32, heads) for _ in range(depths[3])]
        )
        self.lateral32 = ConvNorm(w32, dim, kernel=1, act=False)
        self.lateral16 = ConvNorm(w16, dim, kernel=1, act=False)
        self.fuse16 = ConvNorm(dim, dim, act=False)
        self.top8 = ConvNorm(dim, dim8, kernel=1, act=False)
        self.lateral8 = ConvNorm(w8, dim8, kernel=1, act=False)
        self.fuse8 = ConvNorm(dim8, dim8, act=False)
        self.top4 = ConvNorm(dim8, dim4, kernel=1, act=False)
        self.lateral4 = ConvNorm(w4, dim4, kernel=1, act=False)
        self.fuse4 = ConvNorm(dim4, dim4, act=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x4 = self.stage4(self.stem((image - self.mean) / self.std))
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        x32 = self.stage32(x16)
        top = self.fuse16(F.relu(self.lateral16(x16) + _double(self.lateral32(x32))))
        mid = self.fuse8(F.relu(self.lateral8(x8) + _double(self.top8(F.relu(top)))))
        low = self.fuse4(F.relu(self.lateral4(x4) + _double(self.top4(F.relu(mid)))))
        return top, mid, low


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention written out: with a handful of tokens on one side its gradient is faster than the fused
    kernel's."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    mixed: Tensor = (scores if bias is None else scores + bias).softmax(dim=-1) @ value
    return mixed


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


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
        mixed = _attend(split[0], split[1], split[2], bias).transpose(1, 2).flatten(2)
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
        self.canvas4 = nn.Conv2d(CANVAS_CHANNELS, dim4, 1)
        self.layers = nn.ModuleList([TwoWayBlock(dim, heads, 4 * dim) for _ in range(layers)])
        self.final_attention = Attention(dim, dim // 2, heads)
        self.final_norm = nn.LayerNorm(dim)
        self.up8 = nn.ConvTranspose2d(dim, dim8, 2, 2)
        self.up4 = nn.ConvTranspose2d(dim8, dim4, 2, 2)
        self.sharpen = nn.Conv2d(dim4, dim4, 3, padding=1)
        self.mask_mlps = nn.ModuleList([_mlp(dim, dim, dim4) for _ in range(4)])
        self.score_mlp = _mlp(dim, dim, 4)

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
        upscaled = F.relu(self.up8(upscaled) + features8)
        upscaled = F.relu(self.up4(upscaled) + features4 + self.canvas4(canvas))
        upscaled = upscaled + F.relu(self.sharpen(upscaled))
        weights = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.mask_mlps)], dim=1)
        logits = (weights @ upscaled.flatten(2)).unflatten(2, (rows * 4, columns * 4))
        return logits.float(), self.score_mlp(tokens[:, 0]).float()


def _grid(rows: int, columns: int, device: torch.device) -> Tensor:
    """Centres of the cells in 0..1: (rows*columns)x2, x before y."""
    y, x = torch.meshgrid(
        (torch.arange(rows, device=device) + 0.5) / rows, (torch.arange(columns, device=device) + 0.5) / columns,
        indexing="ij",
    )  # fmt: skip
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


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

    def load_folded(self, state: dict[str, Tensor]) -> None:
        """Load what `fold` gave, or a whole state dict; constants of exported graphs ("graph.") are passed over.

        Raises ValueError when the tensors are another network's.
        """
        own = {name: tensor for name, tensor in state.items() if not name.startswith("graph.")}
        missing, unexpected = self.load_state_dict(own, strict=False)
        missing = [name for name in missing if ".1." not in name]
        if missing or unexpected:
            raise ValueError(f"{len(missing)} tensors are missing and {len(unexpected)} do not belong there")
        for name, module in self.named_modules():
            if isinstance(module, ConvNorm) and f"{name}.1.running_var" not in state:
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
