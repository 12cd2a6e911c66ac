//! From names of residual networks to Maskroom's, which are torchvision's: running statistics come along, without which nothing can be
//! looked at.

use super::super::listing::Listing;
use super::super::plan::{Network, Plan};
use super::super::site::Sites;
use super::layout::{Layout, SHORTCUTS};
use crate::backbone::resnet::ResNetConfig;

/// The encoders of all networks of a file.
pub(super) fn plan(sites: &Sites, layout: &Layout, config: &ResNetConfig, listing: &Listing) -> Plan {
    let mut plan = Plan::default();
    for (site, ours) in sites.each() {
        let mut network = Network { site, listing, ours, plan: &mut plan };
        encoder(&mut network, layout, config);
        network.refuse_strangers(layout.parts);
    }
    plan
}

fn encoder(network: &mut Network<'_>, layout: &Layout, config: &ResNetConfig) {
    let stem = config.stem_windows(config.grid).0.side;
    convolution(network, "conv1", &[layout.conv1], [config.width, config.channels, stem]);
    norm(network, "bn1", &[layout.bn1], config.width);
    let mut before = config.width;
    for ((stage, theirs), &depth) in layout.stages.iter().enumerate().zip(&config.depths) {
        for index in 0..depth {
            let inputs = std::mem::replace(&mut before, config.width_of_stage(stage));
            let (convolutions, shortcut) = config.convolutions([stage, index, inputs], [1, 1]);
            let (ours, theirs) = (format!("layer{}.{index}", stage + 1), format!("{theirs}.{index}"));
            for (place, ([inputs, outputs], window)) in (1..).zip(convolutions) {
                let [conv, bn] = ["conv", "bn"].map(|part| format!("{part}{place}"));
                convolution(network, &format!("{ours}.{conv}"), &[&format!("{theirs}.{conv}")], [outputs, inputs, window.side]);
                norm(network, &format!("{ours}.{bn}"), &[&format!("{theirs}.{bn}")], outputs);
            }
            if let Some(([inputs, outputs], window)) = shortcut {
                let [conv, bn] = [0, 1].map(|place| SHORTCUTS.map(|shortcut| format!("{theirs}.{shortcut}.{place}")));
                convolution(network, &format!("{ours}.downsample.0"), &[&conv[0], &conv[1]], [outputs, inputs, window.side]);
                norm(network, &format!("{ours}.downsample.1"), &[&bn[0], &bn[1]], outputs);
            }
        }
    }
}

fn convolution(network: &mut Network<'_>, ours: &str, theirs: &[&str], [outputs, inputs, side]: [usize; 3]) {
    tensor(network, ours, theirs, "weight", &[outputs, inputs, side, side]);
}

fn norm(network: &mut Network<'_>, ours: &str, theirs: &[&str], channels: usize) {
    for kind in ["weight", "bias", "running_mean", "running_var"] {
        tensor(network, ours, theirs, kind, &[channels]);
    }
}

fn tensor(network: &mut Network<'_>, ours: &str, theirs: &[&str], kind: &str, shape: &[usize]) {
    let theirs: Vec<String> = theirs.iter().map(|name| format!("{name}.{kind}")).collect();
    network.copy(&format!("{ours}.{kind}"), &theirs.iter().map(String::as_str).collect::<Vec<_>>(), shape);
}
