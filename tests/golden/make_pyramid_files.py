"""Tiny pyramids as timm, the papers' code and transformers save them, and what timm and transformers compute with them.

    python3 -m venv venv && venv/bin/pip install torch timm transformers safetensors numpy pillow
    venv/bin/python tests/golden/make_pyramid_files.py

Writes tests/golden/torch/swin_*.pth, simmim_swin.pth and pvt.pth, the folder tests/golden/hugging_face/pvt, and what is expected of them in
tests/golden/torch/expected_pyramids.safetensors: `NAME/features [2, tokens, width]` after the last norm of the images of
tests/golden/hugging_face/vit. simmim_swin.pth has the weights of tests/golden/hugging_face/swin, of which more is expected there.
"""
import json
import re
import sys
import types
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models.swin_transformer import SwinTransformer
from transformers import PvtConfig, PvtModel

GOLDEN = Path(__file__).parent
OUT = GOLDEN / "torch"
EXPECTED = {}


def images():
    pixels = [numpy.asarray(Image.open(GOLDEN / f"hugging_face/vit/image_{index}.png").convert("RGB")) for index in range(2)]
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return (torch.tensor(numpy.stack(pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / std


def scrambled(model, seed):
    """Noise that every part of the network feels."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = start + 0.25 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def settings(**values):
    """Settings as yacs keeps them, which need not be installed."""
    module = types.ModuleType("yacs.config")
    module.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    sys.modules.setdefault("yacs", types.ModuleType("yacs"))
    module = sys.modules.setdefault("yacs.config", module)
    node = module.CfgNode({key: settings(**value) if isinstance(value, dict) else value for key, value in values.items()})
    node.__dict__["__immutable__"] = True
    return node


def swin(seed, window):
    """Maps of 8 and of 4 tokens a side."""
    return scrambled(SwinTransformer(
        img_size=16, patch_size=2, embed_dim=8, depths=(2, 2), num_heads=(1, 2), window_size=window, mlp_ratio=2.0, num_classes=5,
    ), seed)


def swin_timm():
    """As timm saves it; the windows of the first stage are shifted."""
    model = swin(11, 4)
    torch.save(model.state_dict(), OUT / "swin_timm.pth")
    EXPECTED["swin_timm/features"] = model.forward_features(images()).flatten(1, 2)


def swin_official():
    """By the names of Swin's own code: a stage ends with what timm's next one begins with, and what sizes say is stored too. Both stages
    have shifted windows."""
    model = swin(12, 2)
    state = {}
    for name, value in model.state_dict().items():
        name = re.sub(r"layers\.(\d+)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", name)
        state[name.replace("head.fc.", "head.")] = value
    for stage, side in enumerate((8, 4)):
        for block, module in enumerate(model.layers[stage].blocks):
            place = f"layers.{stage}.blocks.{block}"
            state[f"{place}.attn.relative_position_index"] = module.attn.relative_position_index
            if block % 2:
                assert module.attn_mask.shape == ((side // 2) ** 2, 4, 4)
                state[f"{place}.attn_mask"] = module.attn_mask
    torch.save({"model": state}, OUT / "swin_official.pth")
    EXPECTED["swin_official/features"] = model.forward_features(images()).flatten(1, 2)


def simmim_swin():
    """SimMIM's Swin with its decoder, by the names of its own code."""
    theirs = load_file(GOLDEN / "hugging_face/swin/model.safetensors")
    state, parts = {}, {}
    pairs = [
        ("swin.embeddings.patch_embeddings.projection", "encoder.patch_embed.proj"), ("swin.embeddings.norm", "encoder.patch_embed.norm"),
        ("swin.embeddings.mask_token", "encoder.mask_token"), ("swin.layernorm", "encoder.norm"), ("swin.encoder.", "encoder."),
        ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("attention.output.dense", "attn.proj"), ("attention.self", "attn"),
        ("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2"),
    ]
    for name, value in theirs.items():
        for old, new in pairs:
            name = name.replace(old, new)
        if found := re.fullmatch(r"(.*\.attn)\.(query|key|value)\.(weight|bias)", name):
            parts.setdefault(f"{found[1]}.qkv.{found[3]}", {})[found[2]] = value
        else:
            state[name] = value
    state |= {name: torch.cat([part[key] for key in ("query", "key", "value")]) for name, part in parts.items()}
    config = settings(DATA={"IMG_SIZE": 16, "MASK_RATIO": 0.6}, MODEL={"TYPE": "swin", "SWIN": {"WINDOW_SIZE": 4}})
    optimizer = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    torch.save({"model": state, "optimizer": optimizer, "epoch": 99, "config": config}, OUT / "simmim_swin.pth")


def pvt_model(seed, heads):
    """Maps of 4, 2 and 1 tokens a side."""
    return scrambled(PvtModel(PvtConfig(
        image_size=16, num_encoder_blocks=3, depths=[2, 1, 1], hidden_sizes=[8, 12, 16], num_attention_heads=heads,
        sequence_reduction_ratios=[2, 1, 1], patch_sizes=[4, 2, 2], strides=[4, 2, 2], mlp_ratios=[3, 2, 2], layer_norm_eps=1e-6,
        attn_implementation="eager",
    )), seed)


def pvt_folder():
    """As `save_pretrained` writes it, without the version of the library that did it."""
    model, folder = pvt_model(13, [1, 2, 4]), GOLDEN / "hugging_face/pvt"
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("transformers_version")
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    EXPECTED["pvt_folder/features"] = model(images()).last_hidden_state


def pvt_official():
    """By the names of PVT's own code, in which norms behind convolutions add another number to the variance."""
    model = pvt_model(14, [1, 1, 1])
    behind = [module for name, module in model.named_modules() if re.search(r"(self|patch_embeddings\.\d)\.layer_norm$", name)]
    assert len(behind) == 5
    for norm in behind:
        norm.eps = 1e-5
    state, pairs = {}, {}
    for name, value in model.state_dict().items():
        name = name.replace("encoder.layer_norm.", "norm.").replace("encoder.patch_embeddings.2.cls_token", "cls_token")
        name = re.sub(r"encoder\.patch_embeddings\.(\d)\.position_embeddings", lambda found: f"pos_embed{int(found[1]) + 1}", name)
        name = re.sub(r"encoder\.patch_embeddings\.(\d)\.projection", lambda found: f"patch_embed{int(found[1]) + 1}.proj", name)
        name = re.sub(r"encoder\.patch_embeddings\.(\d)\.layer_norm", lambda found: f"patch_embed{int(found[1]) + 1}.norm", name)
        name = re.sub(r"encoder\.block\.(\d)\.", lambda found: f"block{int(found[1]) + 1}.", name)
        for old, new in [
            ("attention.self.sequence_reduction", "attn.sr"), ("attention.self.layer_norm", "attn.norm"), ("attention.self.query", "attn.q"),
            ("attention.output.dense", "attn.proj"), ("layer_norm_", "norm"), ("mlp.dense", "mlp.fc"),
        ]:
            name = name.replace(old, new)
        if found := re.fullmatch(r"(.*)\.attention\.self\.(key|value)\.(weight|bias)", name):
            pairs.setdefault(f"{found[1]}.attn.kv.{found[3]}", {})[found[2]] = value
        else:
            state[name] = value
    state |= {name: torch.cat([pair["key"], pair["value"]]) for name, pair in pairs.items()}
    torch.save(state | {"head.weight": torch.zeros(5, 16), "head.bias": torch.zeros(5)}, OUT / "pvt.pth")
    EXPECTED["pvt/features"] = model(images()).last_hidden_state


with torch.no_grad():
    for make in (swin_timm, swin_official, simmim_swin, pvt_folder, pvt_official):
        make()
save_file({name: value.contiguous() for name, value in EXPECTED.items()}, OUT / "expected_pyramids.safetensors")
for path in [*sorted(OUT.glob("*swin*")), OUT / "pvt.pth", OUT / "expected_pyramids.safetensors", *sorted((GOLDEN / "hugging_face/pvt").iterdir())]:
    print(path.name, path.stat().st_size)
