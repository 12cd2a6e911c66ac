"""A SimCLR training step of a residual network in PyTorch on the CPU: what `maskroom bench train --recipe simclr` is compared with.

    python3 -m venv venv && venv/bin/pip install torch torchvision numpy
    venv/bin/python tests/golden/simclr_torch.py --network resnet18 --image 64 --batch 64 [--compile] [--channels-last]
    maskroom bench train --recipe simclr --device cpu --set backbone.preset=resnet-18 --set data.image=[64,64] --set optim.batch=64

Random inputs, so that only the step is timed: both views of a batch through network and projector, the loss among all views, backward, and
SGD with momentum in the place of LARS, which costs less. Prints one JSON line: images per second (median of the steps after warm-up) and
peak memory.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

p = argparse.ArgumentParser()
p.add_argument("--network", default="resnet18")
for name, usual in dict(image=64, batch=64, hidden=2048, width=128, steps=8, warmup=2).items():
    p.add_argument(f"--{name}", type=int, default=usual)
p.add_argument("--compile", action="store_true")
p.add_argument("--channels-last", action="store_true")
a = p.parse_args()

torch.manual_seed(0)
backbone = getattr(torchvision.models, a.network)()
features = backbone.fc.in_features
dense = lambda inputs, outputs: [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs)]
backbone.fc = nn.Sequential(
    *dense(features, a.hidden), nn.ReLU(True), *dense(a.hidden, a.hidden), nn.ReLU(True), *dense(a.hidden, a.width)
)
images = torch.randn(2 * a.batch, 3, a.image, a.image)
if a.channels_last:
    backbone, images = backbone.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
run = torch.compile(backbone) if a.compile else backbone
optimizer = torch.optim.SGD(backbone.parameters(), 1e-3, momentum=0.9, weight_decay=1e-6)
own = torch.eye(2 * a.batch) * -1e9
right = torch.arange(2 * a.batch).roll(a.batch)
times = []
for _ in range(a.warmup + a.steps):
    begin = time.perf_counter()
    z = F.normalize(run(images), dim=1)
    loss = F.cross_entropy(z @ z.T / 0.1 + own, right)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    times.append(time.perf_counter() - begin)
figures = dict(images_per_second=round(a.batch / statistics.median(times[a.warmup :]), 2), loss=round(loss.item(), 4))
figures |= dict(threads=torch.get_num_threads(), torch=torch.__version__, compiled=a.compile, channels_last=a.channels_last)
print(json.dumps(figures | dict(peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)))
