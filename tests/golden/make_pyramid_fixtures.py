"""Makes swin_hf.safetensors, swin_timm.safetensors and pvt.safetensors: tiny pyramids with random weights, and what they compute.

    python3 -m venv venv && venv/bin/pip install torch transformers timm scipy safetensors
    venv/bin/python make_pyramid_fixtures.py

Each holds the weights under Maskroom's names, two images, a random direction, and as expectations: the output, every gradient of its
product with the direction, and what else can be seen of the inside. swin_timm also holds tables of relative positions and what SciPy's
cubic interpolation makes of them for other windows.
"""
import numpy
import torch
from safetensors.torch import save_file
from scipy.interpolate import RectBivariateSpline
from timm.models.swin_transformer import SwinTransformer
from transformers import PvtConfig, PvtModel, SwinConfig, SwinModel

torch.manual_seed(0)


def scramble(model):
    """Weights far from their initial values, so that no term of the gradients is lost in rounding."""
    for name, parameter in model.named_parameters():
        parameter.data.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)
    return model.eval()


def renamed(tensors, names, joined):
    """Tensors by Maskroom's names: `names` says how single ones are called, `joined` which are stacked under a new name."""
    out = {ours: tensors[theirs] for theirs, ours in names.items() if theirs in tensors}
    for ours, parts in joined.items():
        if all(part in tensors for part in parts):
            out[ours] = torch.cat([tensors[part] for part in parts])
    used = {*names, *(part for parts in joined.values() for part in parts)}
    assert not (left := set(tensors) - used), left
    return {name: value.detach().clone().contiguous() for name, value in out.items()}


def fixture(model, pixels, compute, names, joined, **more):
    """Runs the model and gathers everything; `compute` gives the output and whatever else is worth keeping."""
    output, seen = compute()
    direction = torch.randn(output.shape)
    (output * direction).sum().backward()
    weights = renamed(dict(model.named_parameters()), names, joined)
    gradients = renamed({n: p.grad for n, p in model.named_parameters() if p.grad is not None}, names, joined)
    out = {"images": pixels.permute(0, 2, 3, 1), "direction": direction, "output": output, **seen, **more}
    out |= {f"weights.{name}": value for name, value in weights.items()} | {f"gradient.{name}": value for name, value in gradients.items()}
    return {name: value.detach().float().contiguous() for name, value in out.items()}


def swin_hf():
    """Wide images; two stages, of which the first shifts its windows; some tokens are replaced by the mask token."""
    config = SwinConfig(
        image_size=(16, 32), patch_size=2, embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=4, layer_norm_eps=1e-5,
        drop_path_rate=0.0, attn_implementation="eager",
    )
    model = scramble(SwinModel(config, add_pooling_layer=False, use_mask_token=True))
    names, joined = {"embeddings.mask_token": "mask_token", "layernorm.weight": "norm.weight", "layernorm.bias": "norm.bias"}, {}
    for kind in ("weight", "bias"):
        names[f"embeddings.patch_embeddings.projection.{kind}"] = f"patch_embed.proj.{kind}"
        names[f"embeddings.norm.{kind}"] = f"patch_embed.norm.{kind}"
        names[f"{MERGING}.norm.{kind}"] = f"layers.1.downsample.norm.{kind}"
    names[f"{MERGING}.reduction.weight"] = "layers.1.downsample.reduction.weight"
    for stage in range(2):
        for block in range(2):
            theirs, ours = f"{STAGES}.{stage}.blocks.{block}", f"layers.{stage}.blocks.{block}"
            table = "relative_position_bias_table"
            names[f"{theirs}.attention.relative_position_bias.{table}"] = f"{ours}.attn.{table}"
            for kind in ("weight", "bias"):
                for a, b in [("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("attention.o_proj", "attn.proj"), ("mlp.fc1",) * 2, ("mlp.fc2",) * 2]:
                    names[f"{theirs}.{a}.{kind}"] = f"{ours}.{b}.{kind}"
                joined[f"{ours}.attn.qkv.{kind}"] = [f"{theirs}.attention.{part}_proj.{kind}" for part in "qkv"]
    pixels, hidden = torch.randn(2, 3, 16, 32), torch.rand(2, 128) < 0.4

    def compute():
        seen = model(pixels, bool_masked_pos=hidden, output_attentions=True)
        # The last block of the first stage is a shifted one.
        return seen.last_hidden_state, {"attention": seen.attentions[0]}

    return fixture(model, pixels, compute, names, joined, hidden=hidden)


MERGING, STAGES = "encoder.layers.0.downsample", "encoder.layers"


def swin_timm():
    """Three stages: maps of 12, 6 and 3 tokens a side with windows of 6, where the last is smaller than a window."""
    model = scramble(SwinTransformer(
        img_size=24, patch_size=2, embed_dim=4, depths=(2, 1, 2), num_heads=(1, 2, 2), window_size=6, num_classes=0, global_pool="",
        drop_path_rate=0.0,
    ))
    pixels = torch.randn(2, 3, 24, 24)

    def compute():
        stages = {}
        for index, layer in enumerate(model.layers):
            layer.register_forward_hook(lambda _, __, output, index=index: stages.update({f"stage.{index}": output.flatten(1, 2)}))
        return model.forward_features(pixels).flatten(1, 2), stages

    out = fixture(model, pixels, compute, {name: name for name, _ in model.named_parameters()}, {})
    for old, new in [(6, 7), (7, 6), (3, 5), (4, 12), (5, 2)]:
        table = torch.randn((2 * old - 1) ** 2, 2)
        table = out.setdefault(f"table.{old}", table)
        out[f"table.{old}.to.{new}"] = resampled(table, old, new)
    return out


def resampled(table, old, new):
    """A cubic spline over a geometric progression of distances, read at whole ones."""
    size, target = 2 * old - 1, 2 * new - 1
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio ** (size // 2)) / (1 - ratio) > target // 2:
            high = ratio
        else:
            low = ratio
    ahead = numpy.cumsum([ratio ** i for i in range(size // 2)])
    at = numpy.concatenate([-ahead[::-1], [0.0], ahead])
    wanted = numpy.arange(-(target // 2), target // 2 + 1, dtype=float)
    heads = [RectBivariateSpline(at, at, head.reshape(size, size).numpy().astype(float))(wanted, wanted) for head in table.T]
    return torch.tensor(numpy.stack(heads, -1)).float().reshape(-1, table.shape[1])


def pvt():
    """Three stages on wide images (Hugging Face counts patches, so a square configuration takes them), two of them with reduction."""
    config = PvtConfig(
        image_size=32, num_encoder_blocks=3, depths=[1, 2, 2], hidden_sizes=[4, 8, 12], num_attention_heads=[1, 2, 3],
        sequence_reduction_ratios=[4, 2, 1], patch_sizes=[4, 2, 2], strides=[4, 2, 2], mlp_ratios=[4, 2, 3], layer_norm_eps=1e-6,
        attn_implementation="eager",
    )
    model = scramble(PvtModel(config))
    names, joined = {"encoder.patch_embeddings.2.cls_token": "cls_token"}, {}
    for kind in ("weight", "bias"):
        names[f"encoder.layer_norm.{kind}"] = f"norm.{kind}"
    for stage, depth in enumerate(config.depths):
        names[f"encoder.patch_embeddings.{stage}.position_embeddings"] = f"stages.{stage}.pos_embed"
        for kind in ("weight", "bias"):
            names[f"encoder.patch_embeddings.{stage}.projection.{kind}"] = f"stages.{stage}.patch_embed.proj.{kind}"
            names[f"encoder.patch_embeddings.{stage}.layer_norm.{kind}"] = f"stages.{stage}.patch_embed.norm.{kind}"
            for block in range(depth):
                theirs, ours = f"encoder.block.{stage}.{block}", f"stages.{stage}.blocks.{block}"
                pairs = [
                    ("layer_norm_1", "norm1"), ("layer_norm_2", "norm2"), ("attention.self.query", "attn.q"), ("attention.output.dense", "attn.proj"),
                    ("mlp.dense1", "mlp.fc1"), ("mlp.dense2", "mlp.fc2"),
                ]
                if stage < 2:
                    pairs += [("attention.self.sequence_reduction", "attn.sr"), ("attention.self.layer_norm", "attn.norm")]
                names |= {f"{theirs}.{a}.{kind}": f"{ours}.{b}.{kind}" for a, b in pairs}
                joined[f"{ours}.attn.kv.{kind}"] = [f"{theirs}.attention.self.{part}.{kind}" for part in ("key", "value")]
    pixels = torch.randn(2, 3, 16, 64)

    def compute():
        seen = model(pixels, output_attentions=True)
        return seen.last_hidden_state, {"attention": seen.attentions[1], "attention.last": seen.attentions[-1]}

    return fixture(model, pixels, compute, names, joined)


for make in (swin_hf, swin_timm, pvt):
    tensors = make()
    save_file(tensors, f"{make.__name__}.safetensors")
    print(make.__name__, len(tensors), "tensors,", sum(value.numel() for value in tensors.values()), "numbers")
