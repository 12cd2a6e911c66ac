"""Holds what `maskroom weights export` wrote against the libraries that it is for. Run by hand; nothing here is a test of the suite.

    python3 -m venv venv && venv/bin/pip install torch torchvision timm transformers safetensors onnxruntime pillow
    maskroom weights export RUN --format hf --out OUT
    maskroom embed --weights RUN --images a.png b.png --pool patches --out patches.npy
    venv/bin/python check_exports.py OUT patches.npy a.png b.png

OUT is a folder of timm or Hugging Face, a file of timm's (whose settings a folder of the same weights gives: `--config FOLDER`), or a graph.
Images must have the network's own size. It must load strictly: a tensor that is missing or left over is an error, and so is a warning. Of
features after the last norm, those of patches are compared, which every network has. `--rounding` prints how PyTorch rounds the numbers that
the tests of `narrow.rs` are about.
"""
import argparse
import contextlib
import io
import json
import logging
import pathlib
import sys
import warnings

import numpy
import torch
from PIL import Image


def pixels_of(files, channels, mean, std):
    """Normalized images: `[B, C, H, W]`."""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    images = [torch.tensor(numpy.array(Image.open(file).convert(mode))).float().div(255) for file in files]
    images = torch.stack([image.unsqueeze(-1) if image.dim() == 2 else image for image in images]).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    return (images - mean) / std


def of_timm(out, config_folder, files):
    import timm
    from safetensors.torch import load_file

    folder = pathlib.Path(config_folder or out)
    config = json.loads((folder / "config.json").read_text())
    cfg, arguments = config["pretrained_cfg"], config["model_args"]
    if pathlib.Path(out).is_dir():
        timm.create_model(f"local-dir:{out}", pretrained=True)
    model = timm.create_model(config["architecture"], num_classes=0, **arguments)
    weights = out if pathlib.Path(out).is_file() else pathlib.Path(out) / "model.safetensors"
    model.load_state_dict(load_file(weights), strict=True)
    model = model.float().eval()
    found = model.forward_features(pixels_of(files, cfg["input_size"][0], cfg["mean"], cfg["std"]))
    if found.dim() == 3:
        return found[:, getattr(model, "num_prefix_tokens", 0):]
    channels_last = config["architecture"].startswith("swin")
    return found.flatten(1, 2) if channels_last else found.flatten(2).transpose(1, 2)


def of_hugging_face(out, files):
    import transformers

    config = json.loads((pathlib.Path(out) / "config.json").read_text())
    name = config["architectures"][0]
    model, info = getattr(transformers, name).from_pretrained(out, output_loading_info=True)
    wrong = {key: value for key, value in info.items() if value}
    assert not wrong, wrong
    model = model.float().eval()
    processor = json.loads((pathlib.Path(out) / "preprocessor_config.json").read_text())
    images = pixels_of(files, config["num_channels"], processor["image_mean"], processor["image_std"])
    loaded = transformers.AutoImageProcessor.from_pretrained(out)
    if config["num_channels"] == 3:
        seen = loaded(images=[Image.open(file).convert("RGB") for file in files], return_tensors="pt")["pixel_values"]
        assert torch.allclose(seen, images, atol=1e-5), "the processor normalizes otherwise"
    if name == "ViTMAEForPreTraining":
        encoder = model.vit
        encoder.embeddings.config.mask_ratio = 0.0
        count = (images.shape[-1] // config["patch_size"]) ** 2
        features = encoder(images, noise=torch.arange(float(count)).expand(len(images), -1)).last_hidden_state
    elif name.endswith("ForMaskedImageModeling"):
        encoder = next(getattr(model, base) for base in ("vit", "beit", "swin") if hasattr(model, base))
        features = encoder(images).last_hidden_state
        features = model.layernorm(features) if name.startswith("Beit") else features
    else:
        output = model(images)
        features = output.last_hidden_state
        if name == "ViTModel":
            assert torch.equal(output.pooler_output, features[:, 0]), "the pooler changes the class token"
    if features.dim() == 4:
        return features.flatten(2).transpose(1, 2)
    kind = config["model_type"]
    prefix = 0 if kind in ("swin", "ijepa") else 1 + config.get("num_register_tokens", 0)
    return features[:, prefix:]


def of_onnx(out, files):
    import onnxruntime

    session = onnxruntime.InferenceSession(out)
    [source] = session.get_inputs()
    channels = source.shape[1]
    images = pixels_of(files, channels, [0.0] * channels, [1.0] * channels).numpy()
    return torch.tensor(session.run(["features"], {source.name: images})[0])


def compare(have, want, tolerance):
    # A graph's features begin with class token and registers.
    have = have[:, have.shape[1] - want.shape[1]:]
    furthest, scale = (have - want).abs().max().item(), want.abs().max().item()
    print(f"{tuple(have.shape)}: off by {furthest:.2e} on a scale of {scale:.3f}")
    return furthest <= tolerance * scale


def rounding():
    for bits in (0x3dcccccd, 0x3f801000, 0x3f803000, 0x3f808000, 0x3f818000, 0x3fffffff, 0x477fefff, 0x387fe000, 0x33c00000):
        number = torch.tensor([bits], dtype=torch.int32).view(torch.float32)
        narrow = [number.to(kind).view(torch.int16).item() & 0xFFFF for kind in (torch.float16, torch.bfloat16)]
        print(f"{bits:#010x} {narrow[0]:#06x} {narrow[1]:#06x}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?")
    parser.add_argument("features", nargs="?", help="patches.npy of `maskroom embed --pool patches`")
    parser.add_argument("images", nargs="*")
    parser.add_argument("--config", help="a folder of timm's, for a single file")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--rounding", action="store_true")
    arguments = parser.parse_args()
    if arguments.rounding:
        return rounding()
    warnings.simplefilter("error", UserWarning)
    said = io.StringIO()
    logging.getLogger("transformers").addHandler(logging.StreamHandler(said))
    out = pathlib.Path(arguments.out)
    with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
        if out.suffix == ".onnx":
            have = of_onnx(arguments.out, arguments.images)
        elif out.is_file() or arguments.config or "pretrained_cfg" in (out / "config.json").read_text():
            have = of_timm(arguments.out, arguments.config, arguments.images)
        else:
            have = of_hugging_face(arguments.out, arguments.images)
    assert not said.getvalue().strip(), said.getvalue()
    is_close = compare(have.float(), torch.tensor(numpy.load(arguments.features)), arguments.tolerance)
    return 0 if is_close else 1


if __name__ == "__main__":
    sys.exit(main())
