"""Tiny checkpoints of residual networks as the papers' code saves them, and what torchvision's blocks make of them.

    python -m venv venv && venv/bin/pip install torch torchvision transformers numpy pillow safetensors
    venv/bin/python tests/golden/make_resnet_files.py

Writes tests/golden/torch/*_resnet.* and tests/golden/torch/expected_resnet.safetensors: for each file `NAME/maps [2, places, width]` that
leave the last stage, of the images of tests/golden/hugging_face/vit, every pixel of which becomes a square of 3x3, and of MoCo and SwAV
also the answers of the head. And tests/golden/hugging_face/resnet, a folder as transformers writes it, whose maps are expected there too.
Nothing of it is anybody's weights: all numbers are noise.
"""

import collections
import json
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from transformers import ResNetConfig, ResNetForImageClassification

GOLDEN = Path(__file__).parent
OUT = GOLDEN / "torch"
TIMES = 3
EXPECTED = {}


class Tiny(ResNet):
    """torchvision's network with stages as narrow as wanted; for small images, the stem has 3x3 and no maximum."""

    def __init__(self, block, width, base_width=64, small=False):
        super().__init__(block, [1, 1, 1, 1], num_classes=3, width_per_group=base_width)
        self.inplanes = width
        if small:
            self.conv1, self.maxpool = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.Identity()
        else:
            self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for stage in range(4):
            setattr(self, f"layer{stage + 1}", self._make_layer(block, width << stage, 1, stride=1 if stage == 0 else 2))
        self.features, self.fc = self.inplanes, nn.Identity()

    def maps(self, images):
        kept = {}
        hook = self.layer4.register_forward_hook(lambda _, __, output: kept.update(maps=output))
        self(images)
        hook.remove()
        return kept["maps"]


def scrambled(model, seed):
    """Noise that every part of the network feels, as half precision has it; statistics are such as a training leaves."""
    generator = torch.Generator().manual_seed(seed)
    noise = lambda tensor: torch.randn(tensor.shape, generator=generator)
    rounded = lambda tensor: tensor.half().float()
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            parameter.data = rounded(noise(parameter) * (2 / parameter[0].numel()) ** 0.5)
        else:
            parameter.data = rounded((1.0 if name.endswith("weight") else 0.0) + 0.2 * noise(parameter))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(rounded(0.3 * noise(buffer)))
        elif name.endswith("running_var"):
            buffer.copy_(rounded(0.5 + noise(buffer) ** 2))
        else:
            buffer.fill_(41)
    return model.eval()


def images(std=(0.229, 0.224, 0.225)):
    pixels = [numpy.asarray(Image.open(GOLDEN / f"hugging_face/vit/image_{index}.png").convert("RGB")) for index in range(2)]
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)
    shown = (torch.tensor(numpy.stack(pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / std
    return shown.repeat_interleave(TIMES, 2).repeat_interleave(TIMES, 3)


def rows(maps):
    return maps.flatten(2).transpose(1, 2)


def stated(model, prefix, dtype=torch.float32):
    halved = lambda value: value.to(dtype) if value.is_floating_point() else value
    return collections.OrderedDict((prefix + key, halved(value)) for key, value in model.state_dict().items())


def moco():
    """MoCo v2: query and key encoders, an MLP in the place of the classifier, and the queue."""
    query, key = (Tiny(BasicBlock, 2) for _ in range(2))
    for seed, model in ((1, query), (2, key)):
        model.fc = nn.Sequential(nn.Linear(model.features, 8), nn.ReLU(), nn.Linear(8, 6))
        scrambled(model, seed)
    state = stated(query, "module.encoder_q.", torch.float16) | stated(key, "module.encoder_k.", torch.float16)
    state |= {"module.queue": torch.zeros(6, 32), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    optimizer = {"state": {}, "param_groups": [{"lr": 0.03, "params": [0]}]}
    saved = {"epoch": 2, "arch": "resnet18", "state_dict": state, "optimizer": optimizer}
    torch.save(saved, OUT / "moco_resnet.pth.tar", _use_new_zipfile_serialization=False)
    for name, model in (("moco", key), ("moco_raw", query)):
        EXPECTED[f"{name}/maps"], EXPECTED[f"{name}/answers"] = rows(model.maps(images())), model(images())


def swav():
    """SwAV: bottlenecks twice as wide inside, a projection with a norm, and prototypes. The norm is over the batch, as in training."""
    model = Tiny(Bottleneck, 1, base_width=128)
    model.projection_head = nn.Sequential(nn.Linear(model.features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))
    model.prototypes = nn.Linear(5, 7, bias=False)
    scrambled(model, 3)
    torch.save(stated(model, "module."), OUT / "swav_resnet.pth.tar", _use_new_zipfile_serialization=False)
    shown = images((0.228, 0.224, 0.225))
    maps = model.maps(shown)
    EXPECTED["swav/maps"] = rows(maps)
    model.projection_head.train()
    EXPECTED["swav/answers"] = model.prototypes(nn.functional.normalize(model.projection_head(maps.mean((2, 3))), dim=1))


def byol():
    """BYOL as a library keeps it: `Sequential`s of children of networks for small images, projectors and a predictor."""
    online, target = (scrambled(Tiny(BasicBlock, 1, small=True), seed) for seed in (4, 5))
    state = collections.OrderedDict()

    def mlp(inputs, seed):
        layers = nn.Sequential(nn.Linear(inputs, 9, bias=False), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 4))
        return scrambled(nn.ModuleDict({"layers": layers}), seed)

    for name, model in (("backbone", online), ("backbone_momentum", target)):
        state |= stated(nn.Sequential(*list(model.children())[:-1]), f"{name}.")
    heads = (("projection_head", online.features, 6), ("projection_head_momentum", online.features, 7), ("prediction_head", 4, 8))
    for name, inputs, seed in heads:
        state |= stated(mlp(inputs, seed), f"{name}.")
    torch.save({"state_dict": state, "epoch": 1}, OUT / "byol_resnet.ckpt")
    EXPECTED["byol/maps"], EXPECTED["byol_raw/maps"] = rows(target.maps(images())), rows(online.maps(images()))


def hugging_face():
    """A classifier of transformers, and the maps of its encoder for an image that is a ramp."""
    config = ResNetConfig(embedding_size=1, hidden_sizes=[4, 8, 16, 32], depths=[1, 2, 1, 1], layer_type="bottleneck", num_labels=3)
    model, folder = scrambled(ResNetForImageClassification(config), 9), GOLDEN / "hugging_face/resnet"
    model.save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    settings.pop("transformers_version")
    (folder / "config.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")
    ramp = (torch.arange(40 * 48 * 3) % 97 - 48).float() / 32
    EXPECTED["hugging_face/maps"] = rows(model.resnet(ramp.view(1, 40, 48, 3).permute(0, 3, 1, 2)).last_hidden_state)


OUT.mkdir(exist_ok=True)
with torch.no_grad():
    for make in (moco, swav, byol, hugging_face):
        make()
save_file({name: value.detach().float().contiguous() for name, value in EXPECTED.items()}, OUT / "expected_resnet.safetensors")
for path in sorted(OUT.glob("*resnet*")):
    print(path.name, path.stat().st_size)
for name, value in EXPECTED.items():
    print(name, tuple(value.shape), f"{value.abs().max():.3f}", f"{value.std():.3f}")
