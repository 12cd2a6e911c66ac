"""Makes mae.safetensors: a tiny masked autoencoder by Hugging Face transformers with random weights, and what it computes.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python make_mae_fixture.py

Holds the weights under Maskroom's names, two normalized images, the masking noise, and as expectations: prediction, mask, loss, every
gradient, features and class attention of the unmasked encoder, and all weights after two AdamW steps of PyTorch.
"""
import copy

import torch
from safetensors.torch import save_file
from transformers import ViTMAEConfig, ViTMAEForPreTraining, ViTMAEModel

torch.manual_seed(0)
config = ViTMAEConfig(
    hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=16, patch_size=4,
    decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=32,
    mask_ratio=0.75, norm_pix_loss=True, layer_norm_eps=1e-6, attn_implementation="eager",
)
model = ViTMAEForPreTraining(config)
for name, parameter in model.named_parameters():
    if "position" not in name and "pos_embed" not in name:
        parameter.data.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)


def block(source, target):
    names = [("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("attention.o_proj", "attn.proj"), ("mlp.fc1",) * 2, ("mlp.fc2",) * 2]
    return [(f"{source}.{a}.{kind}", f"{target}.{b}.{kind}") for a, b in names for kind in ("weight", "bias")]


NAMES = [
    ("vit.embeddings.cls_token", "cls_token"),
    ("vit.embeddings.position_embeddings", "pos_embed"),
    ("vit.embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"),
    ("vit.embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"),
    ("vit.layernorm.weight", "norm.weight"),
    ("vit.layernorm.bias", "norm.bias"),
    ("decoder.mask_token", "decoder.mask_token"),
    ("decoder.decoder_pos_embed", "decoder.pos_embed"),
    *[(f"decoder.decoder_{a}.{kind}", f"decoder.{a}.{kind}") for a in ("embed", "norm", "pred") for kind in ("weight", "bias")],
    *[pair for i in range(2) for pair in block(f"vit.layers.{i}", f"blocks.{i}")],
    *block("decoder.decoder_layers.0", "decoder.blocks.0"),
]
QKV = [(f"vit.layers.{i}.attention", f"blocks.{i}.attn.qkv") for i in range(2)] + [("decoder.decoder_layers.0.attention", "decoder.blocks.0.attn.qkv")]


def ours(values):
    """Hugging Face's names and split queries, keys and values, as Maskroom's."""
    tensors = {b: values[a] for a, b in NAMES if a in values}
    for a, b in QKV:
        for kind in ("weight", "bias"):
            tensors[f"{b}.{kind}"] = torch.cat([values[f"{a}.{part}_proj.{kind}"] for part in "qkv"])
    return {name: value.detach().clone().contiguous() for name, value in tensors.items()}


out = {f"weights.{name}": value for name, value in ours(dict(model.named_parameters())).items()}
pixels, noise = torch.randn(2, 3, 16, 16), torch.rand(2, 16)
out["images"], out["noise"] = pixels.permute(0, 2, 3, 1).contiguous(), noise

optimizer = torch.optim.AdamW(
    [
        {"params": [p for p in model.parameters() if p.requires_grad and p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in model.parameters() if p.requires_grad and p.ndim <= 1], "weight_decay": 0.0},
    ],
    lr=1e-2, betas=(0.9, 0.95), eps=1e-8,
)
for step in range(2):
    result = model(pixels, noise=noise)
    optimizer.zero_grad()
    result.loss.backward()
    if step == 0:
        out["prediction"], out["mask"], out["loss"] = result.logits.detach(), result.mask, result.loss.detach().reshape(1)
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        out |= {f"gradient.{name}": value for name, value in ours(gradients).items()}
        everything = ViTMAEModel(unmasked := copy.deepcopy(config))
        everything.load_state_dict({name.removeprefix("vit."): v for name, v in model.state_dict().items() if name.startswith("vit.")})
        unmasked.mask_ratio = everything.embeddings.config.mask_ratio = 0.0
        ordered = torch.arange(16.0).expand(2, -1)
        seen = everything(pixels, noise=ordered, output_attentions=True)
        out["features"], out["attention"] = seen.last_hidden_state.detach(), seen.attentions[-1].detach().contiguous()
    optimizer.step()
out |= {f"after.{name}": value for name, value in ours(dict(model.named_parameters())).items() if "pos_embed" not in name}
save_file({name: value.float().contiguous() for name, value in out.items()}, "mae.safetensors")
print(f"{len(out)} tensors, loss {out['loss'].item():.6f}")
