"""Makes dinos/: tiny DINOv2 and DINOv3 networks with random weights, as Hugging Face transformers saves them (folders) and as their own code
does (.pth), and what they compute of images of several sizes.

    python3 -m venv venv && venv/bin/pip install torch timm transformers safetensors
    venv/bin/python make_dinov3_fixtures.py

What is expected of each is in NAME.safetensors, for every size HxW: the image as the model is given it (`images.HxW`), features of all tokens
after the last norm (`features.HxW`), and attention between all tokens (`attention.HxW.LAYER`). Of the .pth files, timm's networks say what
to expect, which load such files by renaming their tensors; positions are resized here as DINOv2's own code does it.
"""
import json
import math
import pathlib

import timm
import torch
from safetensors.torch import save_file
from timm.layers import SwiGLUPacked, set_fused_attn
from timm.models import eva, vision_transformer
from torch.nn.functional import interpolate
from transformers import (
    Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel, DINOv3ViTConfig, DINOv3ViTModel,
)

OUT = pathlib.Path(__file__).parent / "dinos"
SIZES = [(16, 16), (12, 20), (24, 8)]
PATCH = 4


def scramble(model):
    """Weights that matter, norms and factors near one."""
    for name, parameter in model.named_parameters():
        near_one = "norm" in name and name.endswith("weight") or "lambda" in name or "gamma" in name
        parameter.data.normal_(1.0 if near_one else 0.0, 0.2)
    return model.eval()


def image_of(size):
    torch.manual_seed(sum(size))
    return torch.randn(1, 3, *size)


def expect(name, seen):
    """`seen(image)` gives features and the attention of every block."""
    out = {}
    for size in SIZES:
        image, key = image_of(size), f"{size[0]}x{size[1]}"
        with torch.no_grad():
            features, attentions = seen(image)
        out |= {f"images.{key}": image.permute(0, 2, 3, 1), f"features.{key}": features}
        out |= {f"attention.{key}.{layer}": attention for layer, attention in enumerate(attentions)}
    save_file({key: value.float().contiguous() for key, value in out.items()}, OUT / f"{name}.safetensors")
    print(name, features.abs().mean().item())


def hugging_face(name, model_class, config_class, **settings):
    torch.manual_seed(0)
    config = config_class(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=PATCH, **settings)
    config._attn_implementation = "eager"
    model = scramble(model_class(config))
    model.save_pretrained(OUT / name)
    written = OUT / name / "config.json"
    fields = json.loads(written.read_text())
    fields.pop("transformers_version")
    written.write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")

    def seen(image):
        result = model(image, output_attentions=True)
        return result.last_hidden_state, result.attentions

    expect(name, seen)


def looking(model):
    """Features of a timm network, and its attention before it is applied."""
    maps = []
    for block in model.blocks:
        block.attn.attn_drop.register_forward_hook(lambda _, __, output: maps.append(output))

    def seen(image):
        maps.clear()
        return model.forward_features(image), list(maps)

    return seen


def dinov2(name, registers, gated, resized):
    """DINOv2's names; `resized` gives the table of positions for a grid."""
    torch.manual_seed(0)
    layers = {"mlp_layer": SwiGLUPacked, "mlp_ratio": 4.0, "act_layer": torch.nn.SiLU} if gated else {"mlp_ratio": 2.0}

    def network(size):
        return timm.create_model(
            "vit_small_patch14_reg4_dinov2" if registers else "vit_small_patch14_dinov2", img_size=size, patch_size=PATCH, embed_dim=16,
            depth=2, num_heads=1, num_classes=0, reg_tokens=registers, init_values=1.0, **layers,
        ).eval()

    own = scramble(network((16, 16))).state_dict()
    theirs = {}
    for key, value in own.items():
        key = key.replace("reg_token", "register_tokens")
        if gated:
            key = key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")
        theirs[key] = value
    # timm's networks with registers have no place for the class token, as DINOv2's code has.
    if theirs["pos_embed"].shape[1] == 16:
        theirs["pos_embed"] = torch.cat([torch.randn(1, 1, 16) * 0.2, theirs["pos_embed"]], 1)
    theirs["mask_token"] = torch.randn(1, 16)
    torch.save(theirs, OUT / f"{name}.pth")

    def seen(image):
        grid = [side // PATCH for side in image.shape[2:]]
        table = theirs["pos_embed"][:, 1:].reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
        table = table if grid == [4, 4] else resized(table, grid)
        table = torch.cat([theirs["pos_embed"][:, :1], table.permute(0, 2, 3, 1).reshape(1, -1, 16)], 1)
        model = network(tuple(image.shape[2:]))
        converted = vision_transformer.checkpoint_filter_fn({**theirs, "pos_embed": table}, model)
        model.load_state_dict(converted)
        return looking(model)(image)

    expect(name, seen)


def with_offset(table, grid):
    return interpolate(table, scale_factor=[(side + 0.1) / 4 for side in grid], mode="bicubic", antialias=False)


def antialiased(table, grid):
    return interpolate(table, size=grid, mode="bicubic", antialias=True)


def dinov3(name, gated):
    """DINOv3's names, with a bias of keys that is masked away, periods of rotary positions in 16 bits, and what serves training alone."""
    torch.manual_seed(0)
    model = scramble(timm.create_model(
        "vit_small_plus_patch16_dinov3_qkvb" if gated else "vit_small_patch16_dinov3_qkvb", img_size=16, patch_size=PATCH, embed_dim=16, depth=2,
        num_heads=2, num_classes=0, mlp_ratio=2,
    ))
    theirs = {}
    for key, value in model.state_dict().items():
        if key.endswith("v_bias"):
            continue
        if key.endswith("q_bias"):
            block = key.removesuffix("q_bias")
            bias = torch.cat([value, torch.randn(16), model.state_dict()[f"{block}v_bias"]])
            mask = torch.cat([torch.ones(16), torch.zeros(16), torch.ones(16)])
            # Those of some files were never set.
            theirs[f"{block}qkv.bias_mask"] = torch.full([48], math.nan) if "blocks.1." in key else mask
            key, value = f"{block}qkv.bias", bias
        key = key.replace("reg_token", "storage_tokens").replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")
        if gated:
            key = key.replace("mlp.fc1_g", "mlp.w1").replace("mlp.fc1_x", "mlp.w2").replace("mlp.fc2", "mlp.w3")
        theirs[key] = value
    theirs["rope_embed.periods"] = (100.0 ** (torch.arange(2) / 2)).bfloat16()
    theirs["mask_token"] = torch.randn(1, 16)
    theirs |= {"local_cls_norm.weight": torch.ones(16), "local_cls_norm.bias": torch.zeros(16)}
    torch.save(theirs, OUT / f"{name}.pth")
    missing = model.load_state_dict(eva.checkpoint_filter_fn(dict(theirs), model))
    assert not missing.missing_keys and not missing.unexpected_keys, missing
    expect(name, looking(model))


set_fused_attn(False)
OUT.mkdir(exist_ok=True)
hugging_face("dinov2_gated", Dinov2Model, Dinov2Config, use_swiglu_ffn=True)
hugging_face("dinov2_registers", Dinov2WithRegistersModel, Dinov2WithRegistersConfig, num_register_tokens=3, mlp_ratio=2, qkv_bias=False)
hugging_face("dinov3", DINOv3ViTModel, DINOv3ViTConfig, num_register_tokens=2, intermediate_size=40)
hugging_face(
    "dinov3_gated", DINOv3ViTModel, DINOv3ViTConfig, use_gated_mlp=True, hidden_act="silu", intermediate_size=24, rope_theta=50.0,
    key_bias=True, value_bias=False, proj_bias=False, mlp_bias=False, layer_norm_eps=1e-4,
)
dinov2("dinov2_own", registers=0, gated=True, resized=with_offset)
dinov2("dinov2_own_registers", registers=2, gated=False, resized=antialiased)
dinov3("dinov3_own", gated=False)
dinov3("dinov3_own_gated", gated=True)
