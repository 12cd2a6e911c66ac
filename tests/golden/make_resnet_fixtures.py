"""Makes resnet.safetensors: what torchvision's residual networks compute with weights that a rule gives.

    python3 -m venv venv && venv/bin/pip install torch torchvision safetensors numpy
    venv/bin/python make_resnet_fixtures.py

The rule stands in for the weights, which would take 200 MB: the i-th number of the tensor that is k-th by name is u(i, k) * scale, where u is
uniform in -1..1 by a multiplicative hash; see `numbers`. For each network, on three images and in double precision: the maps that leave it (their
first channels) and the moments it keeps in training, the maps it gives afterwards when it is looked at, and of every gradient (of the maps' product
with a direction) its first numbers and its product with a direction of its own.
"""
import numpy
import torch
import torchvision
from safetensors.torch import save_file

FIRST, CHANNELS = 4, 64


def numbers(count, key):
    """u(i, k): multiply-and-mix of 64 bits, the top 24 of them."""
    i = numpy.arange(count, dtype=numpy.uint64)
    with numpy.errstate(over="ignore"):
        x = (i + numpy.uint64(1)) * numpy.uint64(0x9E3779B97F4A7C15) + numpy.uint64(key + 1) * numpy.uint64(0xD1B54A32D192ED03)
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = x ^ (x >> numpy.uint64(27))
    top = (x >> numpy.uint64(40)).astype(numpy.float64) / 2**24
    return torch.from_numpy((2 * top - 1).astype(numpy.float32))


def fill(model):
    parameters = dict(sorted(model.named_parameters()))
    for key, (name, parameter) in enumerate(parameters.items()):
        values = numbers(parameter.numel(), key).reshape(parameter.shape)
        if parameter.dim() == 4:
            values = values * numpy.float32((6 / parameter[0].numel()) ** 0.5)
        else:
            values = values * numpy.float32(0.1) + (1 if name.endswith("weight") else 0)
        if ".bn3." in name:
            # Bottlenecks that change little: else single precision is too rough for gradients through sixteen of them.
            values = values * numpy.float32(0.125)
        parameter.data.copy_(values)
    return parameters


out = {}
# Keys of images in which no number lies so near zero that single precision takes it for one of the other side: a ReLU there changes gradients
# by percents, of torchvision's own network in single precision too.
for name, key_of_images in [("resnet18", 1000), ("resnet50", 1003), ("wide_resnet50_2", 1000)]:
    model = getattr(torchvision.models, name)(num_classes=1)
    model.avgpool, model.fc = torch.nn.Identity(), torch.nn.Identity()
    parameters = fill(model)
    model.double()
    count, height, width = 3, 64, 96
    images = numbers(count * height * width * 3, key_of_images).reshape(count, height, width, 3).permute(0, 3, 1, 2).double() * 2
    maps = {}
    model.layer4.register_forward_hook(lambda _, __, output: maps.update(last=output))
    model.train()(images)
    trained = maps["last"]
    direction = numbers(trained.numel(), 2000).double().reshape(trained.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
    (trained * direction).sum().backward()
    out[f"{name}.trained"] = trained.permute(0, 2, 3, 1)[..., :CHANNELS]
    for key, (of, parameter) in enumerate(parameters.items()):
        gradient = parameter.grad.reshape(-1)
        out[f"{name}.first.{of}"] = gradient[:FIRST]
        along = numbers(gradient.numel(), 3000 + key)
        out[f"{name}.along.{of}"] = torch.stack([(gradient.double() * along.double()).sum(), gradient.double().norm()])
    for of, buffer in model.named_buffers():
        if not of.endswith("num_batches_tracked"):
            out[f"{name}.moments.{of}"] = buffer[:FIRST].clone()
    model.eval()(images)
    out[f"{name}.looked"] = maps["last"].permute(0, 2, 3, 1)[..., :CHANNELS]
save_file({name: value.detach().float().contiguous() for name, value in out.items()}, "resnet.safetensors")
