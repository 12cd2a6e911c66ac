"""A DINO training step in PyTorch on the CPU: what `maskroom bench train --recipe dino` is compared with, on the same shapes.

    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python tests/golden/dino_torch.py --batch 32 --steps 12 [--compile]
    maskroom bench train --recipe dino --device cpu --set data.image=[96,96] --set augment.local_views=4 \
        --set augment.local_image=[48,48] --set decoder.prototypes=4096 --set optim.batch=32

Random inputs, so that only the step is timed: student on all views, teacher on the large ones, backward, AdamW, running average. Prints one
JSON line: images per second (median of the steps after warm-up) and peak memory.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        samples, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(samples, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(samples, tokens, width)
        x = x + self.proj(attended)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Network(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.side, self.patch = a.image // a.patch, a.patch
        self.embed = nn.Linear(3 * a.patch**2, a.width)
        self.cls = nn.Parameter(torch.randn(1, 1, a.width) * 0.02)
        self.pos = nn.Parameter(torch.randn(1, 1 + self.side**2, a.width) * 0.02)
        self.blocks = nn.Sequential(*[Block(a.width, a.heads) for _ in range(a.depth)])
        self.norm = nn.LayerNorm(a.width, eps=1e-6)
        layers = [a.width] + [a.hidden] * 2 + [a.bottleneck]
        mlp = [part for ends in zip(layers, layers[1:]) for part in (nn.Linear(*ends), nn.GELU())]
        self.mlp = nn.Sequential(*mlp[:-1])
        self.prototypes = nn.Parameter(torch.randn(a.prototypes, a.bottleneck))

    def forward(self, groups):
        features = []
        for patches in groups:
            side, pos = round(patches.shape[1] ** 0.5), self.pos[:, 1:]
            if side != self.side:
                table = pos.view(1, self.side, self.side, -1).permute(0, 3, 1, 2)
                pos = F.interpolate(table, size=(side, side), mode="bicubic").flatten(2).transpose(1, 2)
            x = self.embed(patches) + pos
            cls = (self.cls + self.pos[:, :1]).expand(x.shape[0], -1, -1)
            features.append(self.norm(self.blocks(torch.cat([cls, x], 1)))[:, 0])
        direction = F.normalize(self.mlp(torch.cat(features)), dim=-1)
        return F.linear(direction, F.normalize(self.prototypes, dim=-1))


p = argparse.ArgumentParser()
sizes = dict(image=96, local=48, patch=16, width=192, depth=12, heads=3, views=2, local_views=4)
sizes |= dict(hidden=2048, bottleneck=256, prototypes=4096, batch=32, steps=12, warmup=3)
for name, usual in sizes.items():
    p.add_argument(f"--{name.replace('_', '-')}", type=int, default=usual)
p.add_argument("--compile", action="store_true")
a = p.parse_args()

torch.manual_seed(0)
student, teacher = Network(a), Network(a)
teacher.load_state_dict(student.state_dict())
teacher.requires_grad_(False)
run_student, run_teacher = (torch.compile(student), torch.compile(teacher)) if a.compile else (student, teacher)
optimizer = torch.optim.AdamW(student.parameters(), 1e-4, weight_decay=0.04, fused=True)
center = torch.zeros(1, a.prototypes)


def patches(side, views):
    return torch.randn(views * a.batch, (side // a.patch) ** 2, 3 * a.patch**2)


large, small = patches(a.image, a.views), patches(a.local, a.local_views)
times = []
for _ in range(a.warmup + a.steps):
    begin = time.perf_counter()
    answers = F.log_softmax(run_student([large, small] if a.local_views else [large]) / 0.1, dim=-1).chunk(a.views + a.local_views)
    with torch.no_grad():
        raw = run_teacher([large])
        taught = F.softmax((raw - center) / 0.04, dim=-1).chunk(a.views)
    pairs = [(t, s) for i, t in enumerate(taught) for j, s in enumerate(answers) if i != j]
    loss = sum(-(t * s).sum(-1).mean() for t, s in pairs) / len(pairs)
    center = 0.9 * center + 0.1 * raw.mean(0, keepdim=True)
    loss.backward()
    for parameter in student.parameters():
        parameter.grad.mul_((3.0 / (parameter.grad.norm() + 1e-6)).clamp(max=1.0))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 0.004)
    times.append(time.perf_counter() - begin)
figures = dict(images_per_second=round(a.batch / statistics.median(times[a.warmup :]), 2), loss=round(loss.item(), 4))
figures |= dict(threads=torch.get_num_threads(), torch=torch.__version__, compiled=a.compile)
print(json.dumps(figures | dict(peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)))
