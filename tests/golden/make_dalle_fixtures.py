"""A tiny encoder and decoder of the make of DALL-E's, saved as whole modules, and what PyTorch makes of them.

    python -m venv venv && venv/bin/pip install torch numpy pillow safetensors
    venv/bin/python tests/golden/make_dalle_fixtures.py

Writes tests/golden/dalle: `encoder.pkl` as `torch.save` writes it, `decoder.pkl` in the format of before version 1.6, and
`expected.safetensors`: `pixels [16, 16, 3]` of 0..1, `logits [64, codes]` and `tokens [64]` of them, `drawn [16, 16, 3]` from those tokens;
`small_pixels [8, 8, 3]` scaled by Pillow's Lanczos, and `small_tokens [16]` of these. All weights are noise.

The published files hold objects of the classes `dall_e.encoder.Encoder` and so on. What is here under these names is written from the networks'
description: only names, shapes and what is computed agree.
"""

import math
import sys
import types
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

GOLDEN = Path(__file__).parent
OUT = GOLDEN / "dalle"
GROUPS, BLOCKS, WIDTH, FIRST, CODES, CHANNELS = 2, 2, 4, 4, 8, 3
EPSILON = 0.1


class Conv2d(nn.Module):
    def __init__(self, inputs, outputs, side):
        super().__init__()
        self.n_in, self.n_out, self.kw, self.device = inputs, outputs, side, torch.device("cpu")
        self.w, self.b = nn.Parameter(torch.zeros(outputs, inputs, side, side)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return functional.conv2d(x, self.w, self.b, padding=(self.kw - 1) // 2)


class Block(nn.Module):
    def __init__(self, inputs, outputs, sides):
        super().__init__()
        self.post_gain = 1 / (GROUPS * BLOCKS) ** 2
        self.id_path = Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        widths = [inputs, outputs // 4, outputs // 4, outputs // 4, outputs]
        parts = [
            part
            for index, side in enumerate(sides)
            for part in ((f"relu_{index + 1}", nn.ReLU()), (f"conv_{index + 1}", Conv2d(widths[index], widths[index + 1], side)))
        ]
        self.res_path = nn.Sequential(OrderedDict(parts))

    def forward(self, x):
        return self.id_path(x) + self.post_gain * self.res_path(x)


class EncoderBlock(Block):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, (3, 3, 3, 1))


class DecoderBlock(Block):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, (1, 3, 3, 3))


def groups(block, widths, between):
    """Groups of blocks, `widths[0]` numbers before the first; a name and a module between two."""
    made = []
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        parts = [(f"block_{number + 1}", block(outputs if number else inputs, outputs)) for number in range(BLOCKS)]
        parts += [between()] if index < GROUPS - 1 else []
        made.append((f"group_{index + 1}", nn.Sequential(OrderedDict(parts))))
    return made


def output(inputs, outputs):
    return "output", nn.Sequential(OrderedDict([("relu", nn.ReLU()), ("conv", Conv2d(inputs, outputs, 1))]))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.group_count, self.n_hid, self.vocab_size, self.device = GROUPS, WIDTH, CODES, torch.device("cpu")
        widths = [WIDTH] + [WIDTH << group for group in range(GROUPS)]
        made = groups(EncoderBlock, widths, lambda: ("pool", nn.MaxPool2d(kernel_size=2)))
        self.blocks = nn.Sequential(OrderedDict([("input", Conv2d(CHANNELS, WIDTH, 7)), *made, output(widths[-1], CODES)]))

    def forward(self, x):
        return self.blocks(x)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.group_count, self.n_hid, self.vocab_size, self.device = GROUPS, WIDTH, CODES, torch.device("cpu")
        widths = [FIRST] + [WIDTH << group for group in reversed(range(GROUPS))]
        made = groups(DecoderBlock, widths, lambda: ("upsample", nn.Upsample(scale_factor=2, mode="nearest")))
        self.blocks = nn.Sequential(OrderedDict([("input", Conv2d(CODES, FIRST, 1)), *made, output(widths[-1], 2 * CHANNELS)]))

    def forward(self, x):
        return self.blocks(x)


sys.modules["dall_e"] = types.ModuleType("dall_e")
for name, classes in {"utils": [Conv2d], "encoder": [EncoderBlock, Encoder], "decoder": [DecoderBlock, Decoder]}.items():
    module = sys.modules[f"dall_e.{name}"] = types.ModuleType(f"dall_e.{name}")
    for part in classes:
        part.__module__ = module.__name__
        setattr(module, part.__name__, part)


def scrambled(model, seed):
    """Noise that every part of the network feels: the residual paths are as large as what they are added to."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        inputs = parameter[0].numel() if name.endswith(".w") else 1
        scale = math.sqrt(2 / inputs) * (2 if "res_path" in name else 1) if name.endswith(".w") else 0.3
        parameter.data = scale * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def scored(encoder, pixels):
    """Logits `[N, codes]` of pixels `[H, W, C]` of 0..1."""
    mapped = (1 - 2 * EPSILON) * torch.tensor(pixels).permute(2, 0, 1)[None] + EPSILON
    return encoder(mapped)[0].flatten(1).T.contiguous()


def drawn(decoder, tokens, side):
    shares = functional.one_hot(tokens, CODES).float().T.reshape(1, CODES, side, side)
    image = (torch.sigmoid(decoder(shares)[0, :CHANNELS]) - EPSILON) / (1 - 2 * EPSILON)
    return image.clamp(0, 1).permute(1, 2, 0).contiguous()


def without_source(*_, **__):
    """The old format holds the source of every class, which would be most of the file."""
    raise OSError


image = Image.open(GOLDEN / "hugging_face/vit/image_0.png").convert("RGB")
side = image.width >> (GROUPS - 1)
whole, half = (numpy.asarray(picture, numpy.float32) / 255 for picture in (image, image.resize((image.width // 2,) * 2, Image.LANCZOS)))
encoder, decoder = scrambled(Encoder(), 1), scrambled(Decoder(), 2)
with torch.no_grad():
    # Every code is to be as probable as any other.
    encoder.blocks.output.conv.b -= scored(encoder, whole).mean(0)
    logits, small_logits = scored(encoder, whole), scored(encoder, half)
    tokens, small_tokens = logits.argmax(1), small_logits.argmax(1)
    for scores in (logits, small_logits):
        best = scores.topk(2, 1).values
        print("closest choice", (best[:, 0] - best[:, 1]).min().item(), "codes", len(scores.argmax(1).unique()))
    expected = {
        "pixels": torch.tensor(whole), "logits": logits, "tokens": tokens.float(), "drawn": drawn(decoder, tokens, side),
        "small_pixels": torch.tensor(half), "small_tokens": small_tokens.float(),
    }
OUT.mkdir(exist_ok=True)
warnings.simplefilter("ignore")
torch.serialization.get_source_lines_and_file = without_source
torch.save(encoder, OUT / "encoder.pkl")
torch.save(decoder, OUT / "decoder.pkl", _use_new_zipfile_serialization=False)
save_file(expected, OUT / "expected.safetensors")
print("drawn", expected["drawn"].min().item(), expected["drawn"].max().item(), expected["drawn"].std().item())
for path in sorted(OUT.iterdir()):
    print(path.name, path.stat().st_size)
