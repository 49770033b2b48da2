use crate::{Arch, layer::Chain};

/// Where a network is split: after the last of its first `length` blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    pub(crate) arch: Arch,
    pub(crate) name: String,
    pub(crate) length: usize,
}

impl Tap {
    /// torchvision's name of the block, or of the group whose last block it is.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Every block, and after its last block every group (`layer4` after `layer4.2`).
pub(crate) fn all(arch: Arch, chain: &Chain) -> Vec<Tap> {
    let group = |i: usize| chain.get(i).and_then(|(name, _)| name.split_once('.'));
    let mut taps = Vec::new();
    for (i, (name, _)) in chain.iter().enumerate() {
        let mut push =
            |name: &str| taps.push(Tap { arch, name: name.to_owned(), length: i + 1 });
        push(name);
        if let Some((this, _)) = group(i)
            && group(i + 1).is_none_or(|(next, _)| next != this)
        {
            push(this);
        }
    }
    taps
}

/// Before the last block, a linear layer in all networks.
///
/// In residual networks and MobileNetV2 that is the mean over the places at the default tap; in
/// VGG-16, whose classifier has three layers, what the second of them gives.
pub(crate) fn penultimate(arch: Arch, chain: &Chain) -> Tap {
    let length = chain.len() - 1;
    Tap { arch, name: chain[length - 1].0.clone(), length }
}
