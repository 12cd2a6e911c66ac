"""Tiny checkpoints under the names of the papers' own code, of the kinds whose encoder sees a mask token in hidden places or has no class
token, and what Hugging Face transformers and timm make of the same weights.

    python3 -m venv venv && venv/bin/pip install torch transformers timm safetensors pillow
    venv/bin/python tests/golden/make_beit_files.py

Writes tests/golden/torch/{beit,beit_tuned,simmim,data2vec,ijepa,maskfeat,vit_gap}.pth and tests/golden/torch/beit_expected.safetensors: for
each file `NAME/features [2, tokens, width]` after the last norm of the images of tests/golden/hugging_face/vit, and, of those that predict,
`NAME/mask` and `NAME/prediction` of every patch; and the folders tests/golden/hugging_face/{ijepa,data2vec} as `save_pretrained` writes them,
with their features under the same names. Nothing of it is anybody's weights: all numbers are noise.
"""

import argparse
import collections
import json
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.models.beit import Beit
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers import (
    BeitConfig, BeitForMaskedImageModeling, BeitModel, Data2VecVisionConfig, Data2VecVisionModel, IJepaConfig, IJepaModel, ViTConfig, ViTModel,
)

GOLDEN = Path(__file__).parent
OUT = GOLDEN / "torch"
HALF = ([0.5] * 3, [0.5] * 3)
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
SIDE, PATCH, WIDTH = 16, 4, 12
SIZES = {
    "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 24, "image_size": SIDE, "patch_size": PATCH,
    "layer_norm_eps": 1e-6, "attn_implementation": "eager",
}
EXPECTED = {}

# From the names of Hugging Face, newest and older, to those of the papers' code, which are timm's.
NAMES = [
    ("encoder.layer.", "blocks."), ("layers.", "blocks."), ("attention.attention.relative_position_bias", "attn"),
    ("blocks.0.relative_position_bias", "blocks.0.attn"), ("blocks.1.relative_position_bias", "blocks.1.attn"),
    ("encoder.relative_position_bias", "rel_pos_bias"), ("shared_position_bias", "rel_pos_bias"),
    ("attention.relative_position_bias", "attn"), ("attention.attention.query", "attn.q"), ("attention.attention.key", "attn.k"),
    ("attention.attention.value", "attn.v"), ("attention.q_proj", "attn.q"), ("attention.k_proj", "attn.k"), ("attention.v_proj", "attn.v"),
    ("attention.output.dense", "attn.proj"), ("attention.o_proj", "attn.proj"), ("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2"),
    ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("lambda_1", "gamma_1"), ("lambda_2", "gamma_2"),
    ("embeddings.patch_embeddings.projection", "patch_embed.proj"), ("embeddings.position_embeddings", "pos_embed"), ("embeddings.", ""),
    ("pooler.layernorm", "norm"), ("layernorm", "norm"),
]


def scrambled(model, seed):
    """Noise that every part of the network feels."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = start + 0.25 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def official(state, prefix=""):
    """Weights under the papers' names: queries, keys and values as one matrix; without a bias of keys, those of the other two by themselves."""
    ours = {}
    for name, value in state.items():
        for theirs, own in NAMES:
            name = name.replace(theirs, own)
        ours[name] = value
    for stem in {name.removesuffix("q.weight") for name in ours if name.endswith("attn.q.weight")}:
        parts = {part: {kind: ours.pop(f"{stem}{part}.{kind}", None) for kind in ("weight", "bias")} for part in "qkv"}
        ours[f"{stem}qkv.weight"] = torch.cat([parts[part]["weight"] for part in "qkv"])
        if parts["k"]["bias"] is None:
            ours[f"{stem}q_bias"], ours[f"{stem}v_bias"] = parts["q"]["bias"], parts["v"]["bias"]
        else:
            ours[f"{stem}qkv.bias"] = torch.cat([parts[part]["bias"] for part in "qkv"])
    # A buffer that the papers' code saves.
    for name in [name for name in ours if name.endswith("relative_position_bias_table")]:
        ours[name.replace("bias_table", "index")] = torch.zeros(17, 17, dtype=torch.int64)
    return collections.OrderedDict((prefix + name, value.clone()) for name, value in ours.items())


def images(normalization):
    pixels = [numpy.asarray(Image.open(GOLDEN / f"hugging_face/vit/image_{index}.png").convert("RGB")) for index in range(2)]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization)
    return (torch.tensor(numpy.stack(pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / std


def hidden(patches, count):
    return torch.stack([torch.randperm(patches, generator=torch.Generator().manual_seed(index)) for index in range(2)]) < count


def expect(name, features, mask=None, prediction=None):
    EXPECTED[f"{name}/features"] = features
    if mask is not None:
        EXPECTED[f"{name}/mask"], EXPECTED[f"{name}/prediction"] = mask.float(), prediction


def rows_of(picture, patch):
    """`[B, C, H, W]` as patches in raster order, each (row, column, channel)."""
    batch, channels, height, width = picture.shape
    cut = picture.view(batch, channels, height // patch, patch, width // patch, patch).permute(0, 2, 4, 3, 5, 1)
    return cut.reshape(batch, -1, patch * patch * channels)


def beit():
    """One table of distances for all blocks, no positions, and scores of twenty words."""
    config = BeitConfig(vocab_size=20, use_mask_token=True, use_shared_relative_position_bias=True, layer_scale_init_value=0.1, **SIZES)
    model, pixels, mask = scrambled(BeitForMaskedImageModeling(config), 1), images(HALF), hidden(16, 7)
    state = official({name.removeprefix("beit."): value for name, value in model.state_dict().items()})
    torch.save({"model": state}, OUT / "beit.pth")
    features = model.layernorm(model.beit(pixels).last_hidden_state)
    expect("beit", features, mask, model(pixels, bool_masked_pos=mask).logits)


def beit_tuned():
    """timm's, with a table for each block, and a norm behind the mean of patches."""
    sizes = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": 2, "num_heads": 3, "mlp_ratio": 2, "num_classes": 5}
    model = scrambled(Beit(init_values=0.1, use_abs_pos_emb=False, use_rel_pos_bias=True, **sizes), 2)
    torch.save(model.state_dict(), OUT / "beit_tuned.pth")
    expect("beit_tuned", model.fc_norm(model.forward_features(images(HALF))))


def simmim():
    """BEiT's encoder, and a convolution to pixels whose channels are shuffled to places."""
    config = BeitConfig(use_mask_token=True, use_shared_relative_position_bias=True, layer_scale_init_value=0.1, use_mean_pooling=False, **SIZES)
    model, decoder = scrambled(BeitModel(config, add_pooling_layer=False), 3), scrambled(nn.Conv2d(WIDTH, PATCH * PATCH * 3, 1), 4)
    pixels, mask = images(IMAGENET), hidden(16, 9)
    state = official(model.state_dict(), "encoder.") | {f"decoder.0.{name}": value for name, value in decoder.state_dict().items()}
    torch.save({"model": state, "epoch": 3, "max_accuracy": 0.0}, OUT / "simmim.pth")
    tokens = model(pixels, bool_masked_pos=mask).last_hidden_state[:, 1:]
    drawn = nn.functional.pixel_shuffle(decoder(tokens.transpose(1, 2).reshape(2, WIDTH, 4, 4)), PATCH)
    expect("simmim", model(pixels).last_hidden_state, mask, rows_of(drawn, PATCH))


def data2vec():
    """What is trained and its average, with a layer from features to features; and the folder of one with a table for each block."""
    config = Data2VecVisionConfig(use_mask_token=True, use_shared_relative_position_bias=True, layer_scale_init_value=1e-4, **SIZES)
    pair = [(scrambled(Data2VecVisionModel(config, add_pooling_layer=True), seed), scrambled(nn.Linear(WIDTH, WIDTH), seed + 1)) for seed in (5, 7)]
    states = [official(model.state_dict()) | {f"lm_head.{name}": value for name, value in layer.state_dict().items()} for model, layer in pair]
    arguments = argparse.Namespace(l1_beta=2.0, target_layers="[0,1]", imagenet_default_mean_and_std=True)
    torch.save({"model": states[0], "model_ema": states[1], "epoch": 1, "args": arguments}, OUT / "data2vec.pth")
    pixels, mask = images(IMAGENET), hidden(16, 9)
    normed = lambda model, **settings: model.pooler.layernorm(model(pixels, **settings).last_hidden_state)
    (student, _), (average, layer) = pair
    expect("data2vec", normed(average), mask, layer(normed(average, bool_masked_pos=mask))[:, 1:])
    EXPECTED["data2vec/student"] = normed(student)
    settings = Data2VecVisionConfig(use_relative_position_bias=True, layer_scale_init_value=0.1, **SIZES)
    folder = Data2VecVisionModel(settings, add_pooling_layer=True)
    pixels = images(HALF)
    expect("folder_of_data2vec", normed(scrambled(folder, 9)))
    saved(folder, "data2vec")


def sincos(width):
    """Positions of patches: the first half of a row tells the column, the second the row."""
    frequency = 10_000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    rows, cols = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    of = lambda places: torch.cat([(places.flatten()[:, None] * frequency).sin(), (places.flatten()[:, None] * frequency).cos()], 1)
    return torch.cat([of(cols.double()), of(rows.double())], 1).float()[None]


def ijepa():
    """Encoder, predictor and target encoder, none of which has a class token; and the folder of an encoder with positions of its own."""
    sizes = SIZES | {"num_attention_heads": 1}
    student, average = (scrambled(IJepaModel(IJepaConfig(**sizes)), seed) for seed in (10, 11))
    for model in (student, average):
        model.embeddings.position_embeddings.data = sincos(WIDTH)
    body = scrambled(IJepaModel(IJepaConfig(**(sizes | {"hidden_size": 8, "num_hidden_layers": 1}))), 12)
    embed, proj, token, positions = scrambled(nn.Linear(WIDTH, 8), 13), scrambled(nn.Linear(8, WIDTH), 14), torch.full((1, 1, 8), 0.5), sincos(8)
    blocks = {name: value for name, value in body.state_dict().items() if not name.startswith("embeddings.")}
    predictor = {f"predictor_{name}": value for name, value in official(blocks).items()} | {"mask_token": token, "predictor_pos_embed": positions}
    for part, layer in (("embed", embed), ("proj", proj)):
        predictor |= {f"predictor_{part}.{name}": value for name, value in layer.state_dict().items()}
    torch.save({
        "encoder": official(student.state_dict(), "module."), "target_encoder": official(average.state_dict(), "module."),
        "predictor": {f"module.{name}": value for name, value in predictor.items()}, "opt": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "epoch": 3,
    }, OUT / "ijepa.pth")

    pixels, mask = images(IMAGENET), hidden(16, 9)
    through = lambda model, tokens: model.layernorm(run(model.layers, tokens))
    pick = lambda tokens, which: torch.stack([row[chosen] for row, chosen in zip(tokens, which)])
    places = positions.expand(2, -1, -1)
    seen = embed(through(student, pick(student.embeddings(pixels), ~mask))) + pick(places, ~mask)
    asked = proj(through(body, torch.cat([seen, token + pick(places, mask)], 1))[:, 7:])
    prediction = torch.zeros(2, 16, WIDTH)
    for row, chosen, values in zip(prediction, mask, asked):
        row[chosen] = values
    expect("ijepa", average(pixels).last_hidden_state, mask, prediction)
    EXPECTED["ijepa/student"] = student(pixels).last_hidden_state
    folder = scrambled(IJepaModel(IJepaConfig(**SIZES)), 15)
    expect("folder_of_ijepa", folder(pixels).last_hidden_state)
    saved(folder, "ijepa")


def run(layers, tokens):
    for layer in layers:
        output = layer(tokens)
        tokens = output if isinstance(output, torch.Tensor) else output[0]
    return tokens


def maskfeat():
    """Patches of eight pixels, which are one cell of gradients; the last norm is the head's."""
    model = scrambled(ViTModel(ViTConfig(**(SIZES | {"patch_size": 8, "num_attention_heads": 1})), add_pooling_layer=False, use_mask_token=True), 16)
    layer, pixels, mask = scrambled(nn.Linear(WIDTH, 27), 17), images(IMAGENET), hidden(4, 2)
    state = official(model.state_dict()) | {f"pred_head.projections.0.{name}": value for name, value in layer.state_dict().items()}
    state = {name.replace("norm.", "pred_head.transforms.0.0.") if name.startswith("norm.") else name: value for name, value in state.items()}
    torch.save({"epoch": 1, "model_state": state | {"hogs.0.weight_x": torch.zeros(3, 1, 3, 3)}, "cfg": "MASK: {}"}, OUT / "maskfeat.pth")
    predicted = layer(model(pixels, bool_masked_pos=mask).last_hidden_state[:, 1:])
    expect("maskfeat", model(pixels).last_hidden_state, mask, predicted)


def vit_gap():
    """timm's without a class token, whose classifier looks at the mean of patches."""
    model = VisionTransformer(
        img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=2, num_heads=1, mlp_ratio=2, num_classes=5, class_token=False, global_pool="avg",
        fc_norm=False,
    )
    torch.save(scrambled(model, 18).state_dict(), OUT / "vit_gap.pth")
    expect("vit_gap", model.forward_features(images(IMAGENET)))


def saved(model, name):
    """Writes config.json and model.safetensors, without the version of the library that did it."""
    folder = GOLDEN / "hugging_face" / name
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("transformers_version")
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


OUT.mkdir(exist_ok=True)
with torch.no_grad():
    for make in (beit, beit_tuned, simmim, data2vec, ijepa, maskfeat, vit_gap):
        make()
save_file({name: value.detach().float().contiguous() for name, value in EXPECTED.items()}, OUT / "beit_expected.safetensors")
for path in sorted(OUT.iterdir()):
    print(path.name, path.stat().st_size)
