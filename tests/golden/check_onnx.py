"""Checks exported ONNX files with onnx's own checker, and what onnxruntime computes with them against what Maskroom does.

    python3 -m venv venv && venv/bin/pip install onnx onnxruntime safetensors numpy pillow

Of a model of your own, with images of exactly its size:

    maskroom weights export --weights W --format onnx --out MODEL.onnx
    maskroom embed --weights W IMAGES --pool patches --out PATCHES.safetensors        (and, or, --pool cls or mean)
    maskroom attend --weights W IMAGES --out ATTENTION.safetensors                    (where there is a class token)
    venv/bin/python check_onnx.py MODEL.onnx IMAGES PATCHES.safetensors POOLED.safetensors ATTENTION.safetensors

Of every family of networks, in f32, f16 and bf16:

    MASKROOM_ONNX_OUT=onnx cargo test --release -p maskroom-core cases_for_onnxruntime -- --ignored
    venv/bin/python check_onnx.py onnx/*

Every output is computed for one image and for all of them; printed is the largest difference over the largest value. Ends with 1 if one is more
than 1e-4 (weights of 16 bits: 0.05).
"""
import json, os, sys

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from safetensors import safe_open

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def stored(path):
    """The tensors of a file, and its metadata."""
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}


def pixels(path, channels, height, width):
    image = Image.open(path).convert(MODES[channels])
    if image.size != (width, height):
        sys.exit(f"{path} has {image.height}x{image.width} pixels, and the model takes {height}x{width}: resize it first")
    return np.asarray(image, np.float32).reshape(height, width, channels).transpose(2, 0, 1) / 255


def session_of(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    is_narrow = any(tensor.data_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16) for tensor in model.graph.initializer)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]), 0.05 if is_narrow else 1e-4


def check(path, images, wanted):
    """`wanted`: features of patches, of images, or attention, by the name of the output."""
    session, tolerance = session_of(path)
    names = [output.name for output in session.get_outputs()]
    is_close = True
    for batch in sorted({1, len(images)}):
        outputs = dict(zip(names, session.run(None, {"images": images[:batch]})))
        differences = {}
        for name, want in wanted.items():
            want = want[:batch]
            # Class token and registers stand in front of patches.
            have = outputs["features"][:, -want.shape[1] :] if name == "patches" else outputs[name]
            if have.shape != want.shape:
                sys.exit(f"{path}: {name} is {have.shape} instead of {want.shape}")
            differences[name] = float(np.abs(have - want).max() / np.abs(want).max())
        is_close &= all(difference <= tolerance for difference in differences.values())
        print(path, f"{batch} image{'s'[: batch > 1]}", *(f"{name} {value:.1e}" for name, value in differences.items()), sep="  ")
    return is_close


def check_folder(folder):
    wanted, _ = stored(os.path.join(folder, "expected.safetensors"))
    images = wanted.pop("images")
    return all([check(os.path.join(folder, f"{precision}.onnx"), images, wanted) for precision in ("f32", "f16", "bf16")])


def check_model(files):
    ends_with = lambda *ends: [file for file in files if file.lower().endswith(ends)]
    [path] = ends_with(".onnx")
    tensors, names = {}, None
    for file in ends_with(".safetensors"):
        found, metadata = stored(file)
        if "attention" in found:
            tensors["attention"] = found["attention"]
        else:
            tensors["patches" if found["features"].ndim == 3 else "pooled"] = found["features"]
        if names not in (None, json.loads(metadata["names"])):
            sys.exit("the .safetensors files are not of the same images in the same order")
        names = json.loads(metadata["names"])
    if not tensors:
        sys.exit("there is nothing to compare with: give what `maskroom embed` or `maskroom attend` wrote")
    shape = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
    given = {os.path.basename(file): file for file in files if not file.lower().endswith((".onnx", ".safetensors"))}
    images = [pixels(given[os.path.basename(name)], *(length.dim_value for length in shape[1:])) for name in names]
    return check(path, np.stack(images), tensors)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if not arguments:
        sys.exit(__doc__)
    are_close = all([check_folder(folder) for folder in arguments]) if all(map(os.path.isdir, arguments)) else check_model(arguments)
    sys.exit(0 if are_close else 1)
