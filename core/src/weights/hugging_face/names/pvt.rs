//! From the names of a PVT to Maskroom's.

use super::Conversion;
use crate::backbone::pvt::PvtConfig;
use crate::weights::published::plan::Made;

impl Conversion {
    /// All of it but the norm behind the last block.
    pub(super) fn pvt(&mut self, pvt: &PvtConfig) {
        let last = pvt.widths.len() - 1;
        for (stage, ([rows, cols], &width)) in pvt.grids().into_iter().zip(&pvt.widths).enumerate() {
            let (theirs, ours) = (format!("encoder.patch_embeddings.{stage}"), format!("stages.{stage}"));
            let (inputs, side) = if stage == 0 { (pvt.channels, pvt.patch) } else { (pvt.widths[stage - 1], 2) };
            self.layer(&format!("{ours}.patch_embed.proj"), &[&format!("{theirs}.projection")], &[width, inputs, side, side]);
            self.norm(&format!("{ours}.patch_embed.norm"), &[&format!("{theirs}.layer_norm")], width);
            let table = [1, usize::from(stage == last) + rows * cols, width];
            self.copy(&format!("{ours}.pos_embed"), &[&format!("{theirs}.position_embeddings")], &table);
            if stage == last {
                self.copy("cls_token", &[&format!("{theirs}.cls_token")], &[1, 1, width]);
            }
            let hidden = (width as f64 * pvt.mlp_ratios[stage]) as usize;
            for index in 0..pvt.depths[stage] {
                let at = (format!("encoder.block.{stage}.{index}"), format!("{ours}.blocks.{index}"));
                self.reduced_block(&at.0, &at.1, [width, hidden, pvt.reductions[stage]]);
            }
        }
    }

    fn reduced_block(&mut self, theirs: &str, ours: &str, [width, hidden, reduction]: [usize; 3]) {
        let mut parts: Vec<(&str, &str, Vec<usize>)> = vec![
            ("norm1", "layer_norm_1", vec![width]),
            ("norm2", "layer_norm_2", vec![width]),
            ("attn.proj", "attention.output.dense", vec![width, width]),
            ("mlp.fc1", "mlp.dense1", vec![hidden, width]),
            ("mlp.fc2", "mlp.dense2", vec![width, hidden]),
        ];
        if reduction > 1 {
            parts.push(("attn.sr", "attention.self.sequence_reduction", vec![width, width, reduction, reduction]));
            parts.push(("attn.norm", "attention.self.layer_norm", vec![width]));
        }
        for (own, name, shape) in parts {
            self.layer(&format!("{ours}.{own}"), &[&format!("{theirs}.{name}")], &shape);
        }
        for (kind, shape, is_there) in [("weight", &[width, width][..], true), ("bias", &[width], self.bias[0])] {
            self.below_another(&format!("{ours}.attn.q.{kind}"), theirs, kind, &["query"], shape, is_there);
            self.below_another(&format!("{ours}.attn.kv.{kind}"), theirs, kind, &["key", "value"], shape, is_there);
        }
    }

    /// Parts of an attention one below the other, zeros if they are not there.
    fn below_another(&mut self, ours: &str, theirs: &str, kind: &str, parts: &[&str], shape: &[usize], is_there: bool) {
        let whole = [&[parts.len() * shape[0]], &shape[1..]].concat();
        if !is_there {
            return self.zeros(ours, &whole);
        }
        let names = parts.iter().map(|part| format!("{theirs}.attention.self.{part}.{kind}"));
        let found: Vec<_> = names.map(|name| self.find(&[name], shape)).collect();
        // What is missing has been noted.
        if found.iter().all(Option::is_some) {
            self.take(ours, &whole, Made::Stacked(found));
        }
    }
}
