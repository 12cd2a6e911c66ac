"""torchvision's DataLoader, the peer that `maskroom bench load` is compared with, on the same files and turn about with it.

    python3 -m venv venv && venv/bin/pip install torch torchvision numpy pillow
    venv/bin/python load_torchvision.py --maskroom target/release/maskroom [--data DIR] [--rounds 5] [--seconds 5] [--tensors]

DIR is filled with 500x375 JPEGs of quality 90 unless it has files: overlapping shaded discs under noise of a photo's spectrum, as Pillow
writes them (color at half resolution). Both sides decode, crop at random (0.2 to 1 of the area, 3/4 to 4/3), resize to 224x224 (bicubic,
antialiased), flip and bring floats, in shuffled batches; Maskroom also normalizes. `--tensors` gives the peer torchvision's own decoder and
its transforms on tensors instead of Pillow. Every round runs the peer, Maskroom, and Maskroom with decoded pictures kept. Prints a line a
round, then one JSON line: medians over the rounds of images per second and of milliseconds of processor time per image, and their ratios.
"""
import argparse, glob, json, os, statistics, subprocess, time

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import io
from torchvision.transforms import InterpolationMode, v2


def photo(rng, height, width):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.full((height, width, 3), rng.uniform(40, 215, 3), np.float32)
    for _ in range(40):
        radius, top, left, stretch = 12 / rng.uniform(0.06, 1), rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.4, 2.5)
        inside = (y - top) ** 2 + (x - left) ** 2 * stretch < radius**2
        shade = ((x - left) * rng.normal() + (y - top) * rng.normal()) / radius * 15
        image[inside] = (rng.uniform(20, 235) + rng.normal(0, 25, 3) + shade[..., None])[inside]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1 / width

    def noise(power):
        values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) / frequency**power, s=(height, width))
        return ((values - values.mean()) / values.std())[..., None]

    color = np.concatenate([noise(1.5) for _ in range(3)], -1)
    image += 16 * noise(1.1) + 7 * color + rng.normal(0, 2, (height, width, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


class Photos(torch.utils.data.Dataset):
    def __init__(self, files, tensors):
        self.files, self.tensors = files, tensors
        shape = dict(size=224, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), interpolation=InterpolationMode.BICUBIC, antialias=True)
        first = [] if tensors else [v2.PILToTensor()]
        steps = [v2.RandomResizedCrop(**shape), v2.RandomHorizontalFlip(), *first, v2.ToDtype(torch.float32, scale=True)]
        self.transform = v2.Compose(steps)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        if self.tensors:
            return self.transform(io.decode_image(self.files[index], io.ImageReadMode.RGB))
        with open(self.files[index], "rb") as file:
            return self.transform(Image.open(file).convert("RGB"))


def processor_secs():
    """Of this process and its children."""
    total, me = 0, os.getpid()
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            pid, fields = path.split("/")[2], open(path).read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(pid) == me or int(fields[1]) == me:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def peer(loader, seconds):
    count, begin, processor = 0, time.perf_counter(), processor_secs()
    while time.perf_counter() - begin < seconds:
        for batch in loader:
            count += len(batch)
    return count / (time.perf_counter() - begin), (processor_secs() - processor) / count * 1e3


def maskroom(a, cache_mib):
    command = [a.maskroom, "bench", "load", "--data", a.data, "--recipe", "mae", "--seconds", str(a.seconds), "--threads", str(a.threads), "--json"]
    command += ["--set", f"data.cache_mib={cache_mib}", "--set", f"optim.batch={a.batch}"]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return figures["images_per_second"], figures["cpu_seconds_per_image"] * 1e3


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--maskroom", required=True)
    p.add_argument("--data", default="target/photos-500x375")
    for name, default in dict(count=512, rounds=5, seconds=5, batch=64, threads=2).items():
        p.add_argument(f"--{name}", type=int, default=default)
    p.add_argument("--tensors", action="store_true")
    a = p.parse_args()
    os.makedirs(a.data, exist_ok=True)
    if not os.listdir(a.data):
        for index in range(a.count):
            Image.fromarray(photo(np.random.default_rng(index), 375, 500)).save(f"{a.data}/{index:04}.jpg", quality=90)
    files = sorted(glob.glob(f"{a.data}/*.jpg"))
    kib = sum(map(os.path.getsize, files)) / len(files) / 1024
    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(Photos(files, a.tensors), a.batch, shuffle=True, drop_last=True, num_workers=a.threads, persistent_workers=True)
    peer(loader, 1)
    rounds = []
    for number in range(a.rounds):
        row = [peer(loader, a.seconds), maskroom(a, 0), maskroom(a, 4096)]
        rounds.append(row)
        print(f"round {number + 1}: " + ", ".join(f"{rate:.0f} images/s at {cost:.2f} ms" for rate, cost in row), flush=True)
    rates, costs = ([statistics.median(row[side][figure] for row in rounds) for side in range(3)] for figure in range(2))
    ratio = lambda side, figure: statistics.median((row[side][0] / row[0][0], row[0][1] / row[side][1])[figure] for row in rounds)
    result = dict(zip(["peer", "maskroom", "maskroom_cached"], [round(rate, 1) for rate in rates]))
    result |= dict(zip(["peer_cpu_ms", "maskroom_cpu_ms", "maskroom_cached_cpu_ms"], [round(cost, 3) for cost in costs]))
    result |= dict(ratio=round(ratio(1, 0), 2), ratio_cached=round(ratio(2, 0), 2), cpu_ratio=round(ratio(1, 1), 2), cpu_ratio_cached=round(ratio(2, 1), 2))
    result |= dict(tensors=a.tensors, kib_per_file=round(kib, 1), images=len(files), threads=a.threads, torch=torch.__version__, torchvision=torchvision.__version__)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
