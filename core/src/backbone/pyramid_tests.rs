//! What pyramids must be able to do that no other library shows: compact maps, drop-path over windows, other sizes, and published counts.

use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};

use super::compact::Compact;
use super::drop_path::DropPath;
use super::pvt::{Pvt, PvtConfig};
use super::relative_position::{PairLayout, RelativePositions};
use super::swin::{Swin, SwinConfig};
use super::token_map::{Origins, TokenMap};
use super::window::Windows;
use crate::mask::uniform::{Pool, Uniform};
use crate::mask::{Grid, Mask, MaskStrategy as _};
use crate::random::{Purpose, Stream};
use crate::weights::model_file::to_host;
use crate::weights::parameters::Parameters;

fn stream(seed: u64) -> Stream {
    Stream::new(seed, 0, 0, Purpose::Bench)
}

fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut stream = stream(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Weights far from their initial values, which are too small to tell right from wrong.
fn scrambled<M: Parameters>(mut model: M, seed: u64, device: &Device) -> M {
    let mut stream = stream(seed);
    let plain = device.clone().without_autodiff();
    model.update_parameters(&mut |name, shape, value| {
        if name.ends_with("pos_embed") {
            return value;
        }
        let center = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| (center + 0.2 * stream.normal()) as f32).collect();
        Tensor::from_data(TensorData::new(values, [count]), &plain)
    });
    model
}

/// Three stages on maps of 16, 8 and 4 tokens.
fn swin(positions: RelativePositions, device: &Device) -> Swin {
    let nano = SwinConfig::preset("swin-nano").unwrap();
    let config = SwinConfig { width: 8, depths: vec![2, 2, 1], heads: vec![1, 2, 2], positions, drop_path: 0.5, ..nano };
    scrambled(config.init(&mut stream(1), device), 2, device)
}

fn pvt(device: &Device) -> Pvt {
    let nano = PvtConfig::preset("pvt-nano").unwrap().compact();
    let config = PvtConfig { widths: vec![4, 8, 12], depths: vec![1, 2, 2], heads: vec![1, 2, 3], drop_path: 0.5, ..nano };
    scrambled(config.init(&mut stream(1), device), 2, device)
}

fn masks(count: u64) -> Vec<Mask> {
    let strategy = Uniform { secondary: 0.25, pool: Pool::Independent };
    (0..count).map(|sample| strategy.sample(Grid::still(4, 4), &mut Stream::new(1, 0, sample, Purpose::Mask))).collect()
}

#[track_caller]
fn assert_same<const D: usize>(have: Tensor<D>, want: Tensor<D>) {
    assert_eq!(have.dims(), want.dims());
    let (have, want) = (to_host(have).unwrap(), to_host(want).unwrap());
    let scale = want.iter().fold(1e-3_f32, |scale, value| scale.max(value.abs()));
    let worst = have.iter().zip(&want).map(|(have, want)| (have - want).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-5 * scale, "{worst} on a scale of {scale}");
}

#[test]
fn published_counts_of_parameters() {
    let count = |model: &dyn Parameters| {
        let mut count = 0;
        model.visit_parameters(&mut |_, shape, _| count += shape.iter().product::<usize>());
        count
    };
    let device = Device::flex();
    // timm without its classifier, and Hugging Face's PvtModel.
    assert_eq!(count(&SwinConfig::preset("swin-t").unwrap().init(&mut stream(0), &device)), 27_519_354);
    for (name, want) in [("pvt-t", 12_716_288), ("pvt-s", 23_972_864)] {
        assert_eq!(count(&PvtConfig::preset(name).unwrap().init(&mut stream(0), &device)), want, "{name}");
    }
}

#[test]
fn a_network_of_positions_is_a_table_of_what_it_says() {
    let device = Device::flex();
    let network = swin(RelativePositions::Network, &device);
    let mut table = swin(RelativePositions::Table, &device);
    (table.patch_embed, table.norm) = (network.patch_embed.clone(), network.norm.clone());
    for (stage, (to, from)) in table.layers.iter_mut().zip(&network.layers).enumerate() {
        to.downsample = from.downsample.clone();
        let windows = Windows::of_block([16 >> stage; 2], 4, 0);
        let layout = PairLayout::new(windows, &TokenMap::whole(windows.grid), RelativePositions::Table, &device);
        for (to, from) in to.blocks.iter_mut().zip(&from.blocks) {
            let numbers = from.attn.relative_position_mlp.as_ref().unwrap().forward(layout.distances());
            let old = to.attn.relative_position_bias_table.take().unwrap();
            to.attn = from.attn.clone();
            to.attn.relative_position_mlp = None;
            to.attn.relative_position_bias_table = Some(old.map(|_| numbers));
            (to.norm1, to.norm2, to.mlp) = (from.norm1.clone(), from.norm2.clone(), from.mlp.clone());
        }
    }
    let patches = random([2, 256, 12], 3, &device);
    let [want, have] = [network, table].map(|swin| swin.encode(swin.tokens(patches.clone()), &swin.whole_map(), None));
    assert_same(have, want);
}

/// A map whose tokens come from just where they stand is a whole map.
#[test]
fn a_compact_map_of_everything_is_a_whole_map() {
    let device = Device::flex();
    let grid = [16, 16];
    let places: Vec<[usize; 2]> = (0..2 * 256).map(|token| [token / 16 % 16, token % 16]).collect();
    let map = TokenMap { grid, origins: Some(Origins { grid, places }) };
    let patches = random([2, 256, 12], 3, &device);
    let swin = swin(RelativePositions::Network, &device);
    let tokens = swin.tokens(patches.clone());
    assert_same(swin.encode(tokens.clone(), &map, None), swin.encode(tokens, &swin.whole_map(), None));
    let pvt = pvt(&device);
    let tokens = pvt.tokens(patches);
    assert_same(pvt.encode(tokens.clone(), &map, None), pvt.encode(tokens, &pvt.whole_map(), None));
}

#[test]
fn compact_tokens_have_the_positions_of_their_patches() {
    let device = Device::flex();
    let (compact, pvt) = (Compact::new(&masks(3), 4).unwrap(), pvt(&device));
    let mut map = compact.map();
    // The whole maps of all stages, each holding its own positions.
    for stage in 0..3 {
        let side = 16 >> stage;
        let whole = to_host(pvt.positions(stage, &TokenMap::whole([side; 2]))).unwrap();
        let width = pvt.config().widths[stage];
        let have = to_host(pvt.positions(stage, &map)).unwrap();
        assert_eq!(have.len(), 3 * side * side / 4 * width);
        for (have, [row, col]) in have.chunks_exact(width).zip(&map.origins.as_ref().unwrap().places) {
            assert_eq!(have, &whole[(row * side + col) * width..][..width]);
        }
        map = map.halved();
    }
    // The whole way: patches packed before the embedding are the embedding's rows at their places.
    let whole = to_host(random([3, 256, 12], 4, &device)).unwrap();
    let packed = Tensor::from_data(TensorData::new(compact.pack(&whole, 12), [3, 64, 12]), &device);
    let of_whole = pvt.tokens(Tensor::from_data(TensorData::new(whole, [3, 256, 12]), &device)) + pvt.positions(0, &pvt.whole_map());
    let want = compact.pack(&to_host(of_whole).unwrap(), 4);
    let want = Tensor::from_data(TensorData::new(want, [3, 64, 4]), &device);
    assert_same(pvt.tokens(packed) + pvt.positions(0, &compact.map()), want);
}

/// The gradients of a compact pass against finite differences along a random direction of each parameter.
fn check_gradients<M: Parameters + Clone>(model: &M, loss: impl Fn(&M) -> Tensor<1>) {
    let gradients = model.take_gradients(&mut loss(model).backward());
    let mut names = Vec::new();
    model.visit_parameters(&mut |name, _, _| names.push(name.to_owned()));
    let trained: Vec<String> = names.into_iter().filter(|name| !name.ends_with("pos_embed")).collect();
    assert_eq!(gradients.keys().cloned().collect::<std::collections::BTreeSet<_>>(), trained.iter().cloned().collect());
    let mut largest = 0.0_f64;
    let mut pairs = Vec::new();
    for (seed, name) in trained.iter().enumerate() {
        let gradient = &gradients[name];
        let count = gradient.dims()[0];
        let direction = random([count], seed as u64, &gradient.device()) / (count as f64).sqrt();
        let want = f64::from(to_host((gradient.clone() * direction.clone()).sum()).unwrap()[0]);
        let along = |step: f64| {
            let mut moved = model.clone();
            moved.update_parameters(&mut |other, _, value| if other == name { value + direction.clone() * step } else { value });
            f64::from(to_host(loss(&moved).without_autodiff()).unwrap()[0])
        };
        let step = 4e-3;
        pairs.push((name, (along(step) - along(-step)) / (2.0 * step), want));
        largest = largest.max(want.abs());
    }
    for (name, have, want) in pairs {
        assert!((have - want).abs() < 2e-2 * want.abs() + 2e-3 * largest, "{name}: {have} by differences, {want} by differentiation");
    }
}

#[test]
fn gradients_through_compact_maps_match_finite_differences() {
    let device = Device::flex().autodiff();
    let compact = Compact::new(&masks(2), 4).unwrap();
    let patches = random([2, 64, 12], 3, &device);
    let direction = |last: usize| random([2, 4, last], 5, &device);
    let swin = swin(RelativePositions::Network, &device);
    assert_eq!(swin.config().compact_problems([32, 32]), []);
    check_gradients(&swin, |swin: &Swin| (swin.encode(swin.tokens(patches.clone()), &compact.map(), None) * direction(32)).sum());
    let pvt = pvt(&device);
    assert_eq!(pvt.config().compact_problems([32, 32]), []);
    check_gradients(&pvt, |pvt: &Pvt| (pvt.encode(pvt.tokens(patches.clone()), &compact.map(), None) * direction(12)).sum());
}

#[test]
fn the_samples_of_a_batch_do_not_see_each_other() {
    let device = Device::flex();
    let (all, masks) = (random([3, 64, 12], 3, &device), masks(3));
    let (swin, pvt) = (swin(RelativePositions::Network, &device), pvt(&device));
    let encode = |patches: Tensor<3>, masks: &[Mask], keys: &[u64]| {
        let map = Compact::new(masks, 4).unwrap().map();
        let drop_path = |blocks: usize| DropPath::sample(0.5, blocks, 1, 0, keys, 0..1);
        let of_swin = swin.encode(swin.tokens(patches.clone()), &map, drop_path(swin.config().depths.iter().sum()).as_ref());
        [of_swin, pvt.encode(pvt.tokens(patches), &map, drop_path(pvt.config().depths.iter().sum()).as_ref())]
    };
    let keys = [3, 7, 8];
    let together = encode(all.clone(), &masks, &keys);
    let without = encode(all.clone(), &masks, &[3, 7, 9]);
    for sample in 0..3 {
        let alone = encode(all.clone().narrow(0, sample, 1), &masks[sample..=sample], &keys[sample..=sample]);
        for (together, alone) in together.iter().zip(alone) {
            assert_same(together.clone().narrow(0, sample, 1), alone);
        }
    }
    // Other decisions about the third sample must show there, or the comparison above says nothing about drop-path.
    for (together, without) in together.into_iter().zip(without) {
        let change = |sample: usize| {
            let [have, other] = [&together, &without].map(|all| to_host(all.clone().narrow(0, sample, 1)).unwrap());
            have.iter().zip(&other).map(|(have, other)| (have - other).abs()).fold(0.0, f32::max)
        };
        assert!(change(0) == 0.0 && change(1) == 0.0 && change(2) > 1e-2, "{} {} {}", change(0), change(1), change(2));
    }
}

#[test]
fn other_sizes_keep_what_was_learned() {
    let device = Device::flex();
    let table = swin(RelativePositions::Table, &device);
    let larger = table.clone().resized([24, 48], 6).unwrap();
    assert_eq!((larger.config().problems([48, 96]), larger.config().window), (vec![], 6));
    assert_eq!(larger.encode(larger.tokens(random([1, 24 * 48, 12], 3, &device)), &larger.whole_map(), None).dims(), [1, 6 * 12, 32]);
    assert_eq!(larger.layers[0].blocks[0].attn.relative_position_bias_table.as_ref().unwrap().dims(), [121, 1]);
    // A stage whose windows keep their side keeps its table as it is.
    let wider = table.clone().resized([16, 32], 4).unwrap();
    let of = |swin: &Swin| to_host(swin.layers[0].blocks[1].attn.relative_position_bias_table.as_ref().unwrap().val()).unwrap();
    assert_eq!(of(&wider), of(&table));

    let preset = PvtConfig { widths: vec![8, 8, 12], heads: vec![1, 2, 3], ..PvtConfig::preset("pvt-nano").unwrap() };
    for config in [preset.clone(), PvtConfig { has_class_token: false, learned_pos: false, ..preset }] {
        let pvt = config.init(&mut stream(1), &device);
        let larger = pvt.clone().for_grid([16, 32]).unwrap();
        assert_eq!(larger.config().problems([32, 64]), []);
        let encoded = larger.encode(larger.tokens(random([1, 16 * 32, 12], 3, &device)), &larger.whole_map(), None);
        assert_eq!(encoded.dims(), [1, larger.num_prefix() + 4 * 8, 12]);
        assert_eq!(larger.num_prefix(), usize::from(config.has_class_token));
        // The class token's row is kept.
        let last = |pvt: &Pvt| to_host(pvt.stages[2].pos_embed.val()).unwrap();
        if config.has_class_token {
            assert_eq!(last(&larger)[..12], last(&pvt)[..12]);
        } else {
            // There are as many rows as before, so the code of the first is what it was.
            assert!((last(&larger)[9] - last(&pvt)[9]).abs() < 1e-6);
        }
    }
}

#[test]
fn trained_parameters_stay_trained_and_fixed_ones_fixed() {
    let device = Device::flex().autodiff();
    let swin = swin(RelativePositions::Table, &device).resized([24, 24], 6).unwrap();
    let patches = random([2, 24 * 24, 12], 3, &device);
    let gradients = swin.take_gradients(&mut swin.encode(swin.tokens(patches), &swin.whole_map(), None).powi_scalar(2).sum().backward());
    assert_eq!(gradients.len(), swin_parameters(&swin));
    assert!(!swin.valid().patch_embed.norm.weight.val().is_autodiff());
}

fn swin_parameters(swin: &Swin) -> usize {
    let mut count = 0;
    swin.visit_parameters(&mut |_, _, _| count += 1);
    count
}
