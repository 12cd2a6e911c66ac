//! Parity of the pyramids with Hugging Face's `SwinModel` and `PvtModel` and with timm's `SwinTransformer` on the same weights and images:
//! outputs, attention, and every gradient. `tests/golden/make_pyramid_fixtures.py` makes the fixtures.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::encoder::{Attended, BlockView, Encoder};
use super::linear::{LayerNorm, parameter};
use super::patch_embed::patchify;
use super::pvt::{Pvt, PvtConfig};
use super::pvt_block::Reduction;
use super::relative_position::RelativePositions;
use super::swin::{Swin, SwinConfig};
use super::window::Windows;
use crate::random::{Purpose, Stream};
use crate::weights::golden::{self, assert_close, assert_gradients};
use crate::weights::model_file::to_host;
use crate::weights::parameters::Parameters;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

fn tensor<const D: usize>(tensor: &HostTensor, shape: [usize; D], device: &Device) -> Tensor<D> {
    parameter(tensor.values.clone(), shape, device).val().detach()
}

/// The fixture's images as patches: `[B, N, P·P·C]`.
fn patches(fixture: &TensorMap, patch: usize, device: &Device) -> Tensor<3> {
    let images = &fixture["images"];
    let [batch, height, width, channels] = images.shape[..] else { panic!("images have four axes") };
    let image = |image: &[f32]| patchify(image, height, width, channels, patch);
    let values: Vec<f32> = images.values.chunks_exact(height * width * channels).flat_map(image).collect();
    tensor(&HostTensor::new([values.len()], values), [batch, height * width / (patch * patch), patch * patch * channels], device)
}

/// Compares the output and the gradients of its product with the fixture's direction.
#[track_caller]
fn compare(model: &dyn Parameters, output: &Tensor<3>, fixture: &TensorMap, [forward, backward]: [f32; 2]) {
    assert_close("output", &to_host(output.clone().without_autodiff()).unwrap(), &fixture["output"], forward);
    let direction = tensor(&fixture["direction"], output.dims(), &output.device());
    let gradients = model.take_gradients(&mut (output.clone() * direction).sum().backward());
    assert_gradients(&gradients, fixture, backward);
}

const CPU: [f32; 2] = [1e-5, 1e-4];
const GPU: [f32; 2] = [1e-4, 1e-3];

/// The CPU and, where its driver is installed, the software GPU, with their tolerances.
fn devices() -> Vec<(Device, [f32; 2])> {
    let gpu = crate::device::shared_software().map(|gpu| (gpu.device.clone().autodiff(), GPU));
    [(Device::flex().autodiff(), CPU)].into_iter().chain(gpu).collect()
}

fn stream() -> Stream {
    Stream::new(0, 0, 0, Purpose::Init)
}

#[derive(Module, Debug)]
struct WithMaskToken {
    encoder: Swin,
    mask_token: Param<Tensor<3>>,
}

/// The attention of one block, if there is such a block.
fn attention_of(encoder: &Encoder, tokens: Tensor<3>, wanted: usize) -> Option<Attended> {
    let mut found = None;
    let look = |block: BlockView<'_>| {
        found = (block.index == wanted).then(|| (block.attention)());
        Ok(found.is_none())
    };
    encoder.each_block(tokens.without_autodiff(), &mut { look }).unwrap();
    found
}

#[test]
fn swin_on_wide_images_with_mask_tokens_is_hugging_faces() {
    let fixture = golden::read("swin_hf");
    let config = SwinConfig {
        grid: [8, 16],
        channels: 3,
        patch: 2,
        width: 8,
        depths: vec![2, 2],
        heads: vec![2, 4],
        window: 4,
        mlp_ratio: 4.0,
        positions: RelativePositions::Table,
        drop_path: 0.0,
        recompute: false,
    };
    assert_eq!(config.problems([16, 32]), []);
    for (device, tolerances) in devices() {
        let encoder = config.init(&mut stream(), &device);
        let mut model = WithMaskToken { encoder, mask_token: parameter(vec![0.0; 8], [1, 1, 8], &device) };
        golden::load_weights(&mut model, &fixture, &device);
        let (swin, map) = (&model.encoder, model.encoder.whole_map());
        let hidden: Tensor<3> = tensor(&fixture["hidden"], [2, 128, 1], &device);
        let tokens = swin.tokens(patches(&fixture, 2, &device));
        let tokens = tokens * (hidden.clone() * -1.0 + 1.0) + model.mask_token.val() * hidden;
        compare(&model, &swin.encode(tokens.clone(), &map, None), &fixture, tolerances);

        let attended = attention_of(&Encoder::Swin(swin.clone()), tokens, 1);
        let Some(Attended::Windows(attention, windows)) = attended else { panic!("attention of windows") };
        assert_eq!(windows, Windows { map: [8, 16], grid: [8, 16], side: 4, shift: 2 });
        assert_close("attention", &to_host(attention.without_autodiff()).unwrap(), &fixture["attention"], tolerances[0]);
    }
}

#[test]
fn swin_with_maps_smaller_than_windows_is_timms() {
    let fixture = golden::read("swin_timm");
    let config = SwinConfig {
        grid: [12, 12],
        channels: 3,
        patch: 2,
        width: 4,
        depths: vec![2, 1, 2],
        heads: vec![1, 2, 2],
        window: 6,
        mlp_ratio: 4.0,
        positions: RelativePositions::Table,
        drop_path: 0.0,
        recompute: false,
    };
    assert_eq!(config.problems([24, 24]), []);
    let device = Device::flex().autodiff();
    let mut swin = config.init(&mut stream(), &device);
    golden::load_weights(&mut swin, &fixture, &device);
    let tokens = swin.tokens(patches(&fixture, 2, &device));
    let mut stages = 0;
    let mut look = |block: BlockView<'_>| {
        // The last block of each of the stages of 2, 1 and 2.
        if [1, 2, 4].contains(&block.index) {
            let want = &fixture[&format!("stage.{stages}")];
            assert_close(&format!("stage {stages}"), &to_host((block.forward)().without_autodiff()).unwrap(), want, CPU[0]);
            stages += 1;
        }
        Ok(true)
    };
    Encoder::Swin(swin.clone()).each_block(tokens.clone(), &mut look).unwrap();
    assert_eq!(stages, 3);
    compare(&swin, &swin.encode(tokens, &swin.whole_map(), None), &fixture, CPU);
}

#[test]
fn pvt_on_wide_images_is_hugging_faces() {
    let fixture = golden::read("pvt");
    let config = PvtConfig {
        grid: [4, 16],
        channels: 3,
        patch: 4,
        widths: vec![4, 8, 12],
        depths: vec![1, 2, 2],
        heads: vec![1, 2, 3],
        mlp_ratios: vec![4.0, 2.0, 3.0],
        reductions: vec![4, 2, 1],
        reduce_by: Reduction::Convolution,
        learned_pos: true,
        has_class_token: true,
        map_eps: LayerNorm::EPS,
        drop_path: 0.0,
        recompute: false,
    };
    assert_eq!(config.problems([16, 64]), []);
    for (device, tolerances) in devices() {
        let mut pvt: Pvt = config.init(&mut stream(), &device);
        golden::load_weights(&mut pvt, &fixture, &device);
        let tokens = pvt.tokens(patches(&fixture, 4, &device));
        compare(&pvt, &pvt.encode(tokens.clone(), &pvt.whole_map(), None), &fixture, tolerances);
        for (name, block) in [("attention", 1), ("attention.last", 4)] {
            let attended = attention_of(&Encoder::Pvt(pvt.clone()), tokens.clone(), block);
            let Some(Attended::Reduced(attention, _)) = attended else { panic!("attention to a reduced map") };
            assert_close(name, &to_host(attention.without_autodiff()).unwrap(), &fixture[name], tolerances[0]);
        }
        assert!(attention_of(&Encoder::Pvt(pvt.clone()), tokens, 5).is_none());
    }
}
