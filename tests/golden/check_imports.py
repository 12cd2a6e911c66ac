"""Networks of transformers, timm and torchvision at their real sizes, with weights of noise, beside Maskroom on the same files and images.

    python -m venv venv && venv/bin/pip install torch torchvision timm transformers pillow safetensors
    venv/bin/python tests/golden/check_imports.py target/release/maskroom [--exports] [WORD ...]

Saves each network as its library does, lets `maskroom embed`, `attend` and `reconstruct` look through the file at two images, and prints the
largest difference over the largest value, of features of patches and of the class token, of attention, and of a masked autoencoder's
prediction and loss. WORDs choose cases by their names. Exits with 1 if a difference is above 1e-4 or a file is refused. With `--exports`, the
imported weights go out again to timm, Hugging Face and ONNX, must load there strictly and without a warning (`check_exports.py`), and have
the same features; a format that has no such network is named with the reason.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

MASKROOM = sys.argv[1]
EXPORTS = "--exports" in sys.argv
WORDS = [word for word in sys.argv[2:] if word != "--exports"]
CASES = []
BOUND = 1e-4


def case(function):
    """What `function(folder)` returns: the path of the weights, image height, width, channels, and a function of normalized images that
    returns a dict of `patches [B, N, D]` and perhaps `cls [B, D]`, `attention [B, heads, N]`."""
    CASES.append(function)
    return function


def noise(model, seed=0):
    """Every parameter gets numbers that matter: norms and factors near one, biases and tokens not zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in list(model.named_parameters()) + list(model.named_buffers()):
            if not value.is_floating_point() or "periods" in name or "inv_freq" in name:
                continue
            if "running_var" in name:
                value.copy_(torch.rand_like(value) + 0.5)
            elif "running_mean" in name:
                value.copy_(torch.randn_like(value) * 0.1)
            elif value.ndim == 1 and name.endswith("weight") or "gamma" in name or "lambda" in name:
                value.copy_(1 + 0.1 * torch.randn_like(value))
            elif value.ndim <= 1:
                value.copy_(0.05 * torch.randn_like(value))
            elif value.ndim >= 2 and value.requires_grad:
                fan = value[0].numel() if value.ndim in (2, 4) else 400
                value.copy_(torch.randn_like(value) * fan**-0.5)
    return model.eval()


def last_map(features):
    """[B, C, H, W] to [B, H·W, C]."""
    return features.flatten(2).transpose(1, 2)


def timm_vit(name, folder, ending="pth", height=None, width=None, channels=3, wrap=None, **more):
    import timm

    size = {} if height is None else {"img_size": (height, width)}
    model = noise(timm.create_model(name, pretrained=False, in_chans=channels, **size, **more))
    grid = model.patch_embed.img_size
    path = folder / f"{name}.{ending}"
    state = model.state_dict()
    if ending == "safetensors":
        save_file(state, path)
    else:
        torch.save(wrap(state) if wrap else state, path)

    def look(images):
        tokens = model.forward_features(images)
        # Networks that average patches have their last norm behind the average; Maskroom's is before it.
        tokens = model.fc_norm(tokens) if isinstance(model.norm, torch.nn.Identity) else tokens
        prefix = model.num_prefix_tokens
        return {"patches": tokens[:, prefix:], **({"cls": tokens[:, 0]} if prefix else {})}

    return path, *grid, channels, look


def hf(model_class, config, folder, height, width, channels=3, prefix=1, attention=True):
    config._attn_implementation = "eager"
    model = noise(model_class(config))
    path = folder / "model"
    model.save_pretrained(path)

    def look(images):
        out = model(pixel_values=images, output_attentions=True)
        tokens = out.last_hidden_state
        looks = {"patches": tokens[:, prefix:] if tokens.ndim == 3 else last_map(tokens)}
        if prefix:
            looks["cls"] = tokens[:, 0]
            if attention:
                looks["attention"] = out.attentions[-1][:, :, 0, prefix:]
        return looks

    return path, height, width, channels, look


@case
def timm_vit_tiny(folder):
    return timm_vit("vit_tiny_patch16_224", folder)


@case
def timm_vit_tiny_safetensors(folder):
    return timm_vit("vit_tiny_patch16_224", folder, "safetensors", num_classes=0)


@case
def timm_vit_small_square_of_96_gray(folder):
    return timm_vit("vit_small_patch16_224", folder, height=96, width=96, channels=1)


@case
def timm_vit_base(folder):
    return timm_vit("vit_base_patch16_224", folder, wrap=lambda state: {"model": state, "epoch": 3})


@case
def timm_vit_base_clip_patch8(folder):
    return timm_vit("vit_small_patch8_224", folder, height=64, width=64)


@case
def timm_dinov2_registers(folder):
    return timm_vit("vit_small_patch14_reg4_dinov2", folder, height=98, width=98)


@case
def timm_dinov2_giant_kind(folder):
    return timm_vit("vit_giant_patch14_dinov2", folder, height=56, width=56, embed_dim=192, depth=3, num_heads=3)


@case
def timm_dinov3(folder):
    return timm_vit("vit_small_patch16_dinov3", folder, height=224, width=224)


@case
def timm_dinov3_gated(folder):
    return timm_vit("vit_small_plus_patch16_dinov3", folder, height=224, width=224)


@case
def timm_without_class_token(folder):
    return timm_vit("vit_tiny_patch16_224", folder, class_token=False, global_pool="avg")


@case
def timm_beit(folder):
    return timm_vit("beit_base_patch16_224", folder, depth=4)


@case
def timm_beitv2(folder):
    return timm_vit("beitv2_base_patch16_224", folder, depth=2)


@case
def timm_deit3(folder):
    return timm_vit("deit3_small_patch16_224", folder)


@case
def timm_deit_distilled(folder):
    import timm

    model = noise(timm.create_model("deit_tiny_distilled_patch16_224", pretrained=False))
    path = folder / "deit.pth"
    torch.save({"model": model.state_dict()}, path)

    def look(images):
        tokens = model.forward_features(images)
        return {"patches": tokens[:, 2:], "cls": tokens[:, 0]}

    return path, 224, 224, 3, look


def timm_pyramid(name, folder, size=224, channels=3, **more):
    import timm

    model = noise(timm.create_model(name, pretrained=False, in_chans=channels, **more))
    path = folder / f"{name}.pth"
    torch.save(model.state_dict(), path)
    shape = (lambda x: x.flatten(1, 2)) if name.startswith("swin") else last_map
    return path, size, size, channels, lambda images: {"patches": shape(model.forward_features(images))}


@case
def timm_swin_tiny(folder):
    return timm_pyramid("swin_tiny_patch4_window7_224", folder)


@case
def timm_swin_base_384(folder):
    return timm_pyramid("swin_base_patch4_window12_384", folder, 384, depths=(2, 2, 2, 2))


@case
def timm_resnet50(folder):
    return timm_pyramid("resnet50", folder, 224)


@case
def timm_resnet18_gray(folder):
    return timm_pyramid("resnet18", folder, 224, 1)


def torchvision_resnet(name, folder, wrap):
    import torchvision

    model = noise(getattr(torchvision.models, name)())
    path = folder / f"{name}.pth.tar"
    torch.save(wrap(model.state_dict()), path)
    body = torch.nn.Sequential(*list(model.children())[:-2])
    return path, 224, 224, 3, lambda images: {"patches": last_map(body(images))}


@case
def torchvision_resnet34(folder):
    return torchvision_resnet("resnet34", folder, lambda state: state)


@case
def torchvision_wide_resnet50(folder):
    return torchvision_resnet("wide_resnet50_2", folder, lambda state: state)


@case
def moco_v2_resnet50(folder):
    def wrap(state):
        own = {name: value for name, value in state.items() if not name.startswith("fc.")}
        query = {f"module.encoder_q.{name}": value for name, value in own.items()}
        key = {f"module.encoder_k.{name}": value for name, value in own.items()}
        head = {}
        for side in "qk":
            head |= {f"module.encoder_{side}.fc.0.weight": torch.randn(2048, 2048), f"module.encoder_{side}.fc.0.bias": torch.randn(2048)}
            head |= {f"module.encoder_{side}.fc.2.weight": torch.randn(128, 2048), f"module.encoder_{side}.fc.2.bias": torch.randn(128)}
        queue = {"module.queue": torch.randn(128, 512), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
        return {"epoch": 200, "arch": "resnet50", "state_dict": query | key | head | queue}

    return torchvision_resnet("resnet50", folder, wrap)


@case
def swav_resnet50(folder):
    def wrap(state):
        own = {f"module.{name}": value for name, value in state.items() if not name.startswith("fc.")}
        return own | {"module.prototypes.weight": torch.randn(3000, 128)}

    return torchvision_resnet("resnet50", folder, wrap)


@case
def hf_vit_gray_96(folder):
    from transformers import ViTConfig, ViTModel

    return hf(ViTModel, ViTConfig(image_size=96, num_channels=1), folder, 96, 96, 1)


@case
def hf_vit_not_its_size(folder):
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(image_size=224, num_hidden_layers=2)
    path, _, _, channels, look = hf(ViTModel, config, folder, 224, 224)
    model = ViTModel.from_pretrained(path, attn_implementation="eager").eval()

    def interpolated(images):
        tokens = model(pixel_values=images, interpolate_pos_encoding=True).last_hidden_state
        return {"patches": tokens[:, 1:], "cls": tokens[:, 0]}

    return path, 160, 288, channels, interpolated


@case
def hf_beit(folder):
    from transformers import BeitConfig, BeitModel

    config = BeitConfig(num_hidden_layers=3, use_relative_position_bias=True, layer_scale_init_value=0.1, use_mean_pooling=False)
    return hf(BeitModel, config, folder, 224, 224)


@case
def hf_data2vec(folder):
    from transformers import Data2VecVisionConfig, Data2VecVisionModel

    config = Data2VecVisionConfig(num_hidden_layers=3, use_shared_relative_position_bias=True, use_mean_pooling=False)
    return hf(Data2VecVisionModel, config, folder, 224, 224)


@case
def hf_ijepa(folder):
    from transformers import IJepaConfig, IJepaModel

    return hf(IJepaModel, IJepaConfig(num_hidden_layers=3), folder, 224, 224, prefix=0)


@case
def hf_dinov2(folder):
    from transformers import Dinov2Config, Dinov2Model

    return hf(Dinov2Model, Dinov2Config(num_hidden_layers=4, hidden_size=384, num_attention_heads=6, image_size=112, patch_size=14), folder, 112, 112)


@case
def hf_dinov2_swiglu(folder):
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(num_hidden_layers=2, hidden_size=192, num_attention_heads=3, image_size=56, patch_size=14, use_swiglu_ffn=True)
    return hf(Dinov2Model, config, folder, 56, 56)


@case
def hf_dinov2_registers(folder):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    config = Dinov2WithRegistersConfig(num_hidden_layers=2, hidden_size=384, num_attention_heads=6, image_size=112, patch_size=14)
    return hf(Dinov2WithRegistersModel, config, folder, 112, 112, prefix=5)


@case
def hf_dinov3(folder):
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(num_register_tokens=4, image_size=96)
    return hf(DINOv3ViTModel, config, folder, 96, 160, prefix=5)


@case
def hf_dinov3_gated(folder):
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(num_register_tokens=4, image_size=64, use_gated_mlp=True, hidden_act="silu", num_hidden_layers=3)
    return hf(DINOv3ViTModel, config, folder, 64, 64, prefix=5)


@case
def hf_swin(folder):
    from transformers import SwinConfig, SwinModel

    return hf(SwinModel, SwinConfig(), folder, 224, 224, prefix=0)


@case
def hf_pvt(folder):
    from transformers import PvtConfig, PvtModel

    config = PvtConfig(image_size=224)
    return hf(PvtModel, config, folder, 224, 224, prefix=1, attention=False)


@case
def hf_resnet(folder):
    from transformers import ResNetConfig, ResNetModel

    return hf(ResNetModel, ResNetConfig(), folder, 96, 96, prefix=0)


@case
def hf_vit_mae(folder):
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    config = ViTMAEConfig(num_hidden_layers=4, decoder_num_hidden_layers=2, image_size=112, norm_pix_loss=True)
    config._attn_implementation = "eager"
    model = noise(ViTMAEForPreTraining(config))
    path = folder / "model"
    model.save_pretrained(path)

    def look(images):
        places = 49
        order = torch.rand(1, places).expand(len(images), places)
        out = model(pixel_values=images, noise=order)
        hidden = out.mask[:1].reshape(1, 7, 7).bool()
        numpy.save(folder / "mask.npy", hidden.expand(len(images), 7, 7).numpy())
        return {"prediction": out.logits, "mask": out.mask, "loss": out.loss}

    return path, 112, 112, 3, look


def run(*arguments):
    done = subprocess.run([MASKROOM, "--json", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def difference(have, want):
    if have.shape != want.shape:
        raise RuntimeError(f"shape {list(have.shape)} instead of {list(want.shape)}")
    return float((have - want).abs().max() / want.abs().max())


def check_exports(path, files, folder):
    """What becomes of weights that go out to each format: the difference there, or why not."""
    features, said = folder / "features.npy", {}
    run("embed", "--weights", path, "--images", *files, "--pool", "patches", "--out", features)
    for form in ("timm", "hf", "onnx"):
        out = folder / ("out.onnx" if form == "onnx" else f"out-{form}")
        try:
            run("weights", "export", path, "--format", form, "--out", out)
        except RuntimeError as refusal:
            said[form] = str(refusal)
            continue
        script = Path(__file__).parent / "check_exports.py"
        done = subprocess.run([sys.executable, script, out, features, *files], capture_output=True, text=True)
        last = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]
        said[form] = ("" if done.returncode == 0 else "WRONG: ") + last
    return said


def check(function):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        path, height, width, channels, look = function(folder)
        files, pixels = [], []
        random = numpy.random.default_rng(7)
        for index in range(2):
            shape = (height, width) if channels == 1 else (height, width, channels)
            coarse = random.integers(0, 256, (-(-height // 8), -(-width // 8), channels), dtype=numpy.uint8)
            image = numpy.kron(coarse, numpy.ones((8, 8, 1), dtype=numpy.uint8))[:height, :width].reshape(shape)
            files.append(folder / f"image_{index}.png")
            Image.fromarray(image).save(files[-1])
            pixels.append(image.reshape(height, width, channels))
        start = time.time()
        seen = run("weights", "inspect", path)
        seconds = time.time() - start
        images = torch.tensor(numpy.stack(pixels)).float().permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(seen[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
        with torch.no_grad():
            want = look((images - mean) / std)
        found, out = {}, folder / "out.safetensors"
        if "prediction" in want:
            said = run("reconstruct", "--weights", path, "--images", *files, "--mask", folder / "mask.npy", "--raw", out, "--out", folder / "strips")
            raw = load_file(out)
            hidden = want["mask"].bool()
            found["prediction"] = difference(raw["prediction"][hidden], want["prediction"][hidden])
            found["loss"] = abs(said["loss"] - float(want["loss"])) / float(want["loss"])
            return seen["what"], found, seconds, check_exports(path, files, folder) if EXPORTS else {}
        # Other libraries bring tables of positions to another size by rules of their own.
        exports = check_exports(path, files, folder) if EXPORTS and seen["image"] == [height, width] else {}
        run("embed", "--weights", path, "--images", *files, "--pool", "patches", "--out", out)
        found["patches"] = difference(load_file(out)["features"], want["patches"])
        if "cls" in want:
            run("embed", "--weights", path, "--images", *files, "--pool", "cls", "--out", out)
            found["cls"] = difference(load_file(out)["features"], want["cls"])
        if "attention" in want:
            run("attend", "--weights", path, "--images", *files, "--out", out)
            found["attention"] = difference(load_file(out)["attention"], want["attention"])
        return seen["what"], found, seconds, exports


def main():
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(2)
    failed = 0
    for function in CASES:
        name = function.__name__
        if WORDS and not any(word in name for word in WORDS):
            continue
        try:
            what, found, seconds, exports = check(function)
            failed += any(not value < BOUND for value in found.values()) or any(said.startswith("WRONG") for said in exports.values())
            figures = "  ".join(f"{key} {value:.1e}" for key, value in found.items())
            print(f"{name:36} {figures}  ({what}; inspected in {seconds:.2f} s)", flush=True)
            for form, said in exports.items():
                print(f"{'':4}{form:5} {said[:200]}", flush=True)
        except Exception as error:
            failed += 1
            print(f"{name:36} FAILED: {type(error).__name__}: {str(error)[:300]}", flush=True)
    print("all within the bound" if failed == 0 else f"{failed} failed")
    sys.exit(failed > 0)


main()
