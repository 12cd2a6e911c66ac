"""Makes hugging_face/: tiny models of Hugging Face transformers with random weights, as its own `save_pretrained` writes them, and what
they compute.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors pillow
    venv/bin/python make_hugging_face_fixtures.py

Each folder holds config.json and model.safetensors, and beside them what a user would have: two images as PNG, and masks.npy. What is
expected of it is in NAME.safetensors: the images as the model is given them (`images`), prediction in Maskroom's order of patches and
pixels, loss, attention of whole images between all tokens (`attention.LAYER`; of a Swin, of the first image and of some blocks), features
after the last norm, and every gradient under the name that its parameter has in the folder.
"""
import copy
import json
import pathlib
import tempfile

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    BeitConfig, BeitForMaskedImageModeling, SwinConfig, SwinForMaskedImageModeling, ViTConfig, ViTForMaskedImageModeling, ViTImageProcessor,
    ViTMAEConfig, ViTMAEForPreTraining, ViTMAEModel,
)

HALF = ([0.5] * 3, [0.5] * 3)
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
OUT = pathlib.Path(__file__).parent / "hugging_face"


def scramble(model):
    """Weights far from their initial values, so that no term of the gradients is lost in rounding."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)
    return model.eval()


def images_in(folder, side, normalization):
    """Two images of noise, as files and as a model is given them: `[2, 3, side, side]`."""
    pixels = numpy.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=numpy.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"image_{index}.png")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization)
    return (torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std


def masks_in(folder, side, count):
    """A mask of `count` patches for each image: `[2, side * side]`."""
    hidden = torch.stack([torch.randperm(side * side) for _ in range(2)]) < count
    numpy.save(folder / "masks.npy", hidden.view(2, side, side).numpy())
    return hidden


def saved(model, folder):
    """Writes config.json and model.safetensors, without the version of the library that did it."""
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("transformers_version")
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def gradients(model):
    """Gradients under the names that `save_pretrained` gives to their parameters."""
    twin = copy.deepcopy(model)
    for parameter, original in zip(twin.parameters(), model.parameters()):
        parameter.data = torch.zeros_like(original) if original.grad is None else original.grad.clone()
    with tempfile.TemporaryDirectory() as folder:
        twin.save_pretrained(folder)
        return {f"gradient.{name}": value for name, value in load_file(f"{folder}/model.safetensors").items()}


def rows_of(picture, patch):
    """`[B, C, H, W]` as patches in raster order, each (row, column, channel)."""
    batch, channels, height, width = picture.shape
    cut = picture.view(batch, channels, height // patch, patch, width // patch, patch).permute(0, 2, 4, 3, 5, 1)
    return cut.reshape(batch, -1, patch * patch * channels)


def expect(name, model, pixels, prediction, loss, attentions, features):
    loss.backward()
    out = {"images": pixels.permute(0, 2, 3, 1), "prediction": prediction, "loss": loss.reshape(1), "features": features}
    out |= {f"attention.{layer}": attention for layer, attention in attentions.items()} | gradients(model)
    save_file({key: value.detach().float().contiguous() for key, value in out.items()}, OUT / f"{name}.safetensors")
    print(name, f"loss {loss.item():.6f}")


def start(name):
    torch.manual_seed(0)
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def vit_mae():
    """Widths of MLPs that are no multiples of the width, other ones in the decoder, and the library's usual epsilon."""
    folder = start("vit_mae")
    config = ViTMAEConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=31, image_size=16, patch_size=4,
        decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=20,
        mask_ratio=0.625, norm_pix_loss=True, layer_norm_eps=1e-12, attn_implementation="eager",
    )
    model = scramble(ViTMAEForPreTraining(config))
    saved(model, folder)
    processor = ViTImageProcessor(size={"height": 16, "width": 16}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3])
    processor.save_pretrained(folder)
    pixels, hidden = images_in(folder, 16, (processor.image_mean, processor.image_std)), masks_in(folder, 4, 10)
    result = model(pixels, noise=hidden.float() + torch.rand(2, 16) / 2)
    assert torch.equal(result.mask.bool(), hidden)
    whole = ViTMAEModel(copy.deepcopy(config))
    whole.load_state_dict({key.removeprefix("vit."): value for key, value in model.state_dict().items() if key.startswith("vit.")})
    whole.embeddings.config.mask_ratio = 0.0
    seen = whole.eval()(pixels, noise=torch.arange(16.0).expand(2, -1), output_attentions=True)
    expect("vit_mae", model, pixels, result.logits, result.loss, dict(enumerate(seen.attentions)), seen.last_hidden_state)


def vit():
    """No bias for queries, keys and values; learned positions."""
    folder = start("vit")
    model = scramble(ViTForMaskedImageModeling(ViTConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=30, image_size=16, patch_size=4, encoder_stride=4,
        qkv_bias=False, layer_norm_eps=1e-6, attn_implementation="eager",
    )))
    saved(model, folder)
    pixels, hidden = images_in(folder, 16, HALF), masks_in(folder, 4, 9)
    result = model(pixels, bool_masked_pos=hidden)
    seen = model.vit(pixels, output_attentions=True)
    expect("vit", model, pixels, rows_of(result.reconstruction, 4), result.loss, dict(enumerate(seen.attentions)), seen.last_hidden_state)


def beit(name, **settings):
    """Keys without a bias, factors of branches, and relative positions of one kind."""
    folder = start(name)
    model = scramble(BeitForMaskedImageModeling(BeitConfig(
        vocab_size=20, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=30, image_size=16, patch_size=4,
        use_mask_token=True, layer_scale_init_value=0.1, attn_implementation="eager", **settings,
    )))
    saved(model, folder)
    pixels, hidden = images_in(folder, 16, HALF), masks_in(folder, 4, 7)
    labels = torch.arange(14) % 20
    result = model(pixels, bool_masked_pos=hidden, labels=labels)
    seen = model.beit(pixels, output_attentions=True)
    attentions, features = dict(enumerate(seen.attentions)), model.layernorm(seen.last_hidden_state)
    expect(name, model, pixels, result.logits, result.loss, attentions, features)


def swin(name, window, **settings):
    """On maps of 8 and of 4, where windows of the second block of each are shifted if there are several."""
    folder = start(name)
    model = scramble(SwinForMaskedImageModeling(SwinConfig(
        image_size=16, patch_size=2, embed_dim=4, depths=[2, 2], num_heads=[1, 2], window_size=window, encoder_stride=4,
        layer_norm_eps=1e-5, attn_implementation="eager", **settings,
    )))
    saved(model, folder)
    pixels, hidden = images_in(folder, 16, IMAGENET), masks_in(folder, 8, 40)
    result = model(pixels, bool_masked_pos=hidden)
    maps = []
    for stage in model.swin.encoder.layers:
        for block in stage.blocks:
            block.attention.register_forward_hook(lambda _, __, output: maps.append(output[1]))
    features = model.swin(pixels[:1]).last_hidden_state
    shift = lambda side: window // 2 if side > window else 0
    whole = {block: between_all(maps[block], side, shift(side) * (block % 2), window) for block, side in ((0, 8), (1, 8), (3, 4))}
    expect(name, model, pixels, rows_of(result.reconstruction, 2), result.loss, whole, features)


def between_all(windows, side, shift, window):
    """Attention within windows, `[windows, heads, n, n]`, as attention between all tokens of one map: `[1, heads, N, N]`. What goes to and
    comes from zeros that fill windows up is left out."""
    padded = -(-side // window) * window
    places = torch.full((padded, padded), -1)
    places[:side, :side] = torch.arange(side * side).view(side, side)
    places = places.roll((-shift, -shift), (0, 1))
    places = places.view(padded // window, window, padded // window, window).transpose(1, 2).reshape(-1, window * window)
    whole = torch.zeros(1, windows.shape[1], side * side, side * side)
    for tokens, attention in zip(places, windows):
        real = tokens >= 0
        whole[0, :, tokens[real][:, None], tokens[real]] = attention[:, real][:, :, real]
    return whole


vit_mae()
vit()
beit("beit_shared", use_shared_relative_position_bias=True)
beit("beit_own", use_relative_position_bias=True, use_absolute_position_embeddings=True)
swin("swin", 4, mlp_ratio=2.5)
# Zeros fill windows up, to 9 and to 6.
swin("swin_filled_up", 3)
