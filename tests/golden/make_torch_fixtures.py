"""Tiny checkpoints as the papers' code saves them, and what a plain PyTorch transformer makes of them.

    python -m venv venv && venv/bin/pip install torch numpy pillow safetensors
    venv/bin/python tests/golden/make_torch_fixtures.py

Writes tests/golden/torch/*.pth and tests/golden/torch/expected.safetensors: for each file `NAME/features [2, tokens, width]` after the last
norm of the images of tests/golden/hugging_face/vit, and `NAME/attention [1, heads, tokens, tokens]` of the last block for the first; of DINO
also the head's answers, of MAE also the prediction of every patch and the mask. Nothing of it is anybody's weights: all numbers are noise.
"""

import argparse
import collections
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

GOLDEN = Path(__file__).parent
OUT = GOLDEN / "torch"
SIDE, PATCH, WIDTH, HIDDEN = 16, 4, 12, 24
GRID = SIDE // PATCH
EXPECTED = {}


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        self.map = (q @ k.transpose(2, 3) * (width // self.heads) ** -0.5).softmax(3)
        return self.proj((self.map @ v).transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads), Mlp(width, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)


class VisionTransformer(nn.Module):
    """Class token, a distillation token if there is one, patches; timm's names."""

    def __init__(self, depth, heads, distilled=False):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, WIDTH)) if distilled else None
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + distilled + GRID * GRID, WIDTH))
        self.patch_embed = PatchEmbed()
        self.blocks = nn.ModuleList(Block(WIDTH, heads, HIDDEN) for _ in range(depth))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def tokens(self, images):
        patches = self.patch_embed.proj(images).flatten(2).transpose(1, 2)
        first = [token for token in (self.cls_token, self.dist_token) if token is not None]
        return torch.cat([token.expand(len(images), -1, -1) for token in first] + [patches], 1) + self.pos_embed

    def forward(self, images):
        x = self.tokens(images)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Head(nn.Module):
    """DINO's: an MLP to a direction, and its likeness to prototypes whose weights are normalized."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 10), nn.GELU(), nn.Linear(10, 10), nn.GELU(), nn.Linear(10, 6))
        self.last_layer = nn.Module()
        self.last_layer.weight_g = nn.Parameter(torch.ones(7, 1))
        self.last_layer.weight_v = nn.Parameter(torch.zeros(7, 6))

    def forward(self, features):
        directions = nn.functional.normalize(self.mlp(features), dim=1)
        return directions @ (self.last_layer.weight_g * nn.functional.normalize(self.last_layer.weight_v, dim=1)).T


class Mae(VisionTransformer):
    def __init__(self, depth, heads, decoder_heads):
        super().__init__(depth, heads)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, 8), requires_grad=False)
        self.decoder_embed = nn.Linear(WIDTH, 8)
        self.decoder_blocks = nn.ModuleList([Block(8, decoder_heads, 20)])
        self.decoder_norm, self.decoder_pred = nn.LayerNorm(8, eps=1e-6), nn.Linear(8, PATCH * PATCH * 3)

    def predict(self, images, hidden):
        x = self.tokens(images)
        shown = [torch.cat([row[:1], row[1:][~mask]]) for row, mask in zip(x, hidden)]
        x = torch.stack(shown)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_embed(self.norm(x))
        whole = self.mask_token.expand(len(images), 1 + GRID * GRID, -1).clone()
        for row, mask, encoded in zip(whole, hidden, x):
            row[0], row[1:][~mask] = encoded[0], encoded[1:]
        whole = whole + self.decoder_pos_embed
        for block in self.decoder_blocks:
            whole = block(whole)
        return self.decoder_pred(self.decoder_norm(whole))[:, 1:]


def scrambled(model, seed, dtype=torch.float32):
    """Noise that every part of the network feels, as the file will have it: rounded to its kind of numbers."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        start = 1.0 if "norm" in name and name.endswith("weight") or name.endswith("weight_g") else 0.0
        spread = 0.0 if name.endswith("weight_g") else 0.25
        parameter.data = (start + spread * torch.randn(parameter.shape, generator=generator)).to(dtype).float()
    return model.eval()


def sincos(width):
    """MAE's positions: the first half of a row tells the column, the second the row."""
    frequency = 10_000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    rows, cols = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    of = lambda places: torch.cat([(places.flatten()[:, None] * frequency).sin(), (places.flatten()[:, None] * frequency).cos()], 1)
    table = torch.cat([of(cols.double()), of(rows.double())], 1)
    return torch.cat([torch.zeros(1, width, dtype=torch.float64), table]).float()[None]


def images():
    pixels = [numpy.asarray(Image.open(GOLDEN / f"hugging_face/vit/image_{index}.png").convert("RGB")) for index in range(2)]
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return (torch.tensor(numpy.stack(pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / std


def expect(name, model):
    """What is expected of an encoder."""
    EXPECTED[f"{name}/features"] = model(images())
    EXPECTED[f"{name}/attention"] = model.blocks[-1].attn.map[:1]


def stated(model, prefix="", dtype=torch.float32, without=()):
    pairs = [(prefix + key, value.to(dtype)) for key, value in model.state_dict().items() if not key.startswith(tuple(without) or "\0")]
    return collections.OrderedDict(pairs)


def dino_full():
    """Student and teacher with heads, wrapped twice; the state of the optimizer; arguments as a Namespace."""
    student, teacher = (nn.ModuleDict({"backbone": VisionTransformer(2, 3), "head": Head()}) for _ in range(2))
    scrambled(student, 1), scrambled(teacher, 2)
    arguments = argparse.Namespace(arch="vit_small", patch_size=PATCH, num_heads=3, norm_last_layer=True, lr=5e-4, data_path=Path("data"))
    torch.save({
        "student": stated(student, "module."), "teacher": stated(teacher), "epoch": 3, "args": arguments,
        "optimizer": {"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": numpy.float64(5e-4), "params": [0]}]},
        "fp16_scaler": None, "dino_loss": collections.OrderedDict(center=torch.zeros(1, 7)),
    }, OUT / "dino_full.pth")
    expect("dino_full", teacher["backbone"])
    EXPECTED["dino_full/answers"] = teacher["head"](teacher["backbone"](images())[:, 0])
    EXPECTED["dino_full/student"] = student["backbone"](images())


def dino_backbone():
    """The backbone alone, in the format of before version 1.6; a matrix that is stored transposed, and vectors that share a storage."""
    model = scrambled(VisionTransformer(2, 1), 3)
    state = stated(model)
    state["blocks.0.attn.proj.weight"] = state["blocks.0.attn.proj.weight"].t().contiguous().t()
    shared = torch.cat([state["blocks.0.norm1.weight"], state["blocks.0.norm1.bias"]])
    state["blocks.0.norm1.weight"], state["blocks.0.norm1.bias"] = shared[:WIDTH], shared[WIDTH:]
    torch.save(state, OUT / "dino_backbone.pth", _use_new_zipfile_serialization=False)
    expect("dino_backbone", model)


def mae_full():
    model = scrambled(Mae(1, 3, 2), 4)
    model.pos_embed.data, model.decoder_pos_embed.data = sincos(WIDTH), sincos(8)
    arguments = argparse.Namespace(num_heads=3, decoder_num_heads=2, norm_pix_loss=True, mask_ratio=0.75)
    torch.save({"model": stated(model), "epoch": 1, "args": arguments, "scaler": {"scale": 65536.0}}, OUT / "mae_full.pth")
    hidden = torch.stack([torch.randperm(GRID * GRID, generator=torch.Generator().manual_seed(index)) for index in range(2)]) < 12
    expect("mae_full", model)
    EXPECTED["mae_full/mask"], EXPECTED["mae_full/prediction"] = hidden.float(), model.predict(images(), hidden)


def mae_encoder():
    """The encoder alone in half precision, without anything that says whose it is."""
    model = VisionTransformer(1, 1)
    scrambled(model, 5, torch.float16).pos_embed.data = sincos(WIDTH).half().float()
    torch.save({"model": stated(model, dtype=torch.float16)}, OUT / "encoder_of_positions.pth")
    expect("encoder_of_positions", model)


def moco_v3():
    """Base encoder, momentum encoder and heads, as `bfloat16`."""
    base, momentum = (scrambled(VisionTransformer(1, 1), seed, torch.bfloat16) for seed in (6, 7))
    state = stated(base, "module.base_encoder.", torch.bfloat16) | stated(momentum, "module.momentum_encoder.", torch.bfloat16)
    state |= {"module.base_encoder.head.0.weight": torch.zeros(8, WIDTH), "module.predictor.1.num_batches_tracked": torch.tensor(7)}
    torch.save({"epoch": 2, "arch": "vit_tiny", "state_dict": state}, OUT / "moco_v3.pth.tar")
    expect("moco_v3", momentum)


def deit_distilled():
    model = scrambled(VisionTransformer(1, 1, distilled=True), 8)
    heads = {f"{head}.{kind}": torch.zeros(*shape) for head in ("head", "head_dist") for kind, shape in (("weight", (5, WIDTH)), ("bias", (5,)))}
    torch.save({"model": stated(model) | heads}, OUT / "deit_distilled.pth")
    expect("deit_distilled", model)


def whole_module():
    """A network and not its `state_dict`: its classes are of a program that nobody has."""
    model = scrambled(VisionTransformer(1, 1), 9)
    torch.save(model, OUT / "whole_module.pth")
    expect("whole_module", model)


OUT.mkdir(exist_ok=True)
with torch.no_grad():
    for make in (dino_full, dino_backbone, mae_full, mae_encoder, moco_v3, deit_distilled, whole_module):
        make()
save_file({name: value.detach().float().contiguous() for name, value in EXPECTED.items()}, OUT / "expected.safetensors")
for path in sorted(OUT.iterdir()):
    print(path.name, path.stat().st_size)
