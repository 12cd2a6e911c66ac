//! From tensors to networks. Names and shapes say everything: how many groups and blocks there are, and how wide each is.

use std::collections::BTreeSet;

use burn::tensor::Device;

use super::network::{Block, Conv, Half};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// Groups at most; a code of more stands for more pixels than a patch may have.
const MAX_GROUPS: usize = 7;
/// Rows and columns of the first convolution's window at most.
const MAX_SIDE: usize = 31;

/// Which of the two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Encoder,
    Decoder,
}

impl Part {
    /// What its tensors' names begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Encoder => "encoder.",
            Self::Decoder => "decoder.",
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.prefix().trim_end_matches('.')
    }

    /// Windows of a block's convolutions.
    fn sides(self) -> [usize; 4] {
        match self {
            Self::Encoder => [3, 3, 3, 1],
            Self::Decoder => [1, 3, 3, 3],
        }
    }

    /// Which one has a first block like that of tensors whose names begin so.
    pub fn of(tensors: &TensorMap, prefix: &str) -> Option<Self> {
        let side = |conv: &str| tensors.get(&format!("{prefix}blocks.group_1.block_1.res_path.{conv}.w"))?.shape.get(2).copied();
        let ends = [side("conv_1")?, side("conv_4")?];
        [Self::Encoder, Self::Decoder].into_iter().find(|part| [part.sides()[0], part.sides()[3]] == ends)
    }
}

/// The network that those tensors make whose names begin with the part's prefix.
///
/// # Errors
/// What is wrong with them, in words.
pub(super) fn half(tensors: &TensorMap, part: Part, device: &Device) -> Result<Half, String> {
    let mut reader = Reader { tensors, part, device, used: BTreeSet::new() };
    let input = reader.conv("input")?;
    let (mut groups, mut width) = (Vec::new(), input.outputs);
    while reader.has(&format!("group_{}", groups.len() + 1)) {
        let (group, mut blocks) = (format!("group_{}", groups.len() + 1), Vec::new());
        while reader.has(&format!("{group}.block_{}", blocks.len() + 1)) {
            let block = reader.block(&format!("{group}.block_{}", blocks.len() + 1), &mut width)?;
            blocks.push(block);
        }
        groups.push(blocks);
    }
    let blocks = groups.first().map_or(0, Vec::len);
    if !(2..=MAX_GROUPS).contains(&groups.len()) || blocks == 0 || groups.iter().any(|group| group.len() != blocks) {
        let found: Vec<usize> = groups.iter().map(Vec::len).collect();
        return Err(format!("its groups have {found:?} blocks, where 2 to {MAX_GROUPS} groups have equally many"));
    }
    let output = reader.fitting("output.conv", width, 1)?;
    if let Some(name) = tensors.keys().find(|name| name.starts_with(part.prefix()) && !reader.used.contains(*name)) {
        return Err(format!("{name} has no place in it"));
    }
    Ok(Half { input, groups, output })
}

/// Takes tensors by their names.
struct Reader<'a> {
    tensors: &'a TensorMap,
    part: Part,
    device: &'a Device,
    used: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn path(&self, name: &str) -> String {
        format!("{}blocks.{name}", self.part.prefix())
    }

    /// Whether there is anything below a name.
    fn has(&self, name: &str) -> bool {
        let below = format!("{}.", self.path(name));
        self.tensors.range(below.clone()..).next().is_some_and(|(name, _)| name.starts_with(&below))
    }

    fn tensor(&mut self, path: String) -> Result<&'a HostTensor, String> {
        let tensor = self.tensors.get(&path).ok_or_else(|| format!("{path} is missing"))?;
        if !tensor.values.iter().all(|value| value.is_finite()) {
            return Err(format!("{path} holds numbers that are none"));
        }
        self.used.insert(path);
        Ok(tensor)
    }

    fn conv(&mut self, name: &str) -> Result<Conv, String> {
        let path = self.path(name);
        let weight = self.tensor(format!("{path}.w"))?;
        let &[outputs, inputs, side, across] = &weight.shape[..] else {
            return Err(format!("{path}.w is {:?}, which is no convolution", weight.shape));
        };
        if outputs == 0 || inputs == 0 || side != across || side % 2 == 0 || side > MAX_SIDE {
            return Err(format!("{path}.w is {:?}, which is no convolution of an odd window", weight.shape));
        }
        let bias = self.tensor(format!("{path}.b"))?;
        if bias.shape != [outputs] {
            return Err(format!("{path}.b is {:?} instead of [{outputs}]", bias.shape));
        }
        Ok(Conv::new(weight, bias, [outputs, inputs, side], self.device))
    }

    /// A convolution of so many inputs and such a window.
    fn fitting(&mut self, name: &str, inputs: usize, side: usize) -> Result<Conv, String> {
        let conv = self.conv(name)?;
        if (conv.inputs, conv.side) != (inputs, side) {
            let (path, outputs) = (self.path(name), conv.outputs);
            let (has, across) = (conv.inputs, conv.side);
            return Err(format!("{path}.w is {:?} instead of {:?}", [outputs, has, across, across], [outputs, inputs, side, side]));
        }
        Ok(conv)
    }

    /// A block of a width, which it changes.
    fn block(&mut self, name: &str, width: &mut usize) -> Result<Block, String> {
        let inputs = *width;
        let mut convolutions = Vec::new();
        for (index, side) in self.part.sides().into_iter().enumerate() {
            let conv = self.fitting(&format!("{name}.res_path.conv_{}", index + 1), *width, side)?;
            *width = conv.outputs;
            convolutions.push(conv);
        }
        let shortcut = format!("{name}.id_path");
        let is_there = *width != inputs || self.has(&shortcut);
        let id_path = is_there.then(|| self.fitting(&shortcut, inputs, 1)).transpose()?;
        if id_path.as_ref().is_some_and(|conv| conv.outputs != *width) {
            return Err(format!("{} gives another width than the block's {width}", self.path(&shortcut)));
        }
        Ok(Block { id_path, convolutions })
    }
}
