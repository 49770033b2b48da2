//! Residual networks: He et al. 2015, as torchvision builds them.

use ops::{Activation, Pool2d};

use crate::{
    Result,
    init::Init,
    layer::{BatchNorm, Chain, Conv, Layer, Linear, Residual},
    store::Store,
};

/// What a residual block computes beside its shortcut.
#[derive(Clone, Copy)]
pub(crate) enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3 and 1×1 convolutions, the last four times as wide; the stride is on the
    /// 3×3 as in torchvision, not on the first as in the paper.
    Bottleneck,
}

/// The networks for `ImageNet`: a 7×7 stem, a max pooling, and four stages of `depths` blocks.
pub(crate) fn chain(store: &mut Store, block: Block, depths: [usize; 4]) -> Result<Chain> {
    let mut chain = stem(store, 64, 7, 2)?;
    let pool = Pool2d { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
    chain.push(("maxpool".to_owned(), Layer::MaxPool(pool)));
    let stages = [(64, depths[0]), (128, depths[1]), (256, depths[2]), (512, depths[3])];
    finish(store, chain, block, &stages)
}

/// ResNet-20 for small images (He et al. 2015, section 4.2): a 3×3 stem and three stages of
/// three basic blocks.
///
/// Where the shape changes the shortcut is a 1×1 convolution with batch normalisation
/// ("option B"); the paper's networks of this size pad with zeros ("option A").
pub(crate) fn small_chain(store: &mut Store) -> Result<Chain> {
    let chain = stem(store, 16, 3, 1)?;
    finish(store, chain, Block::Basic, &[(16, 3), (32, 3), (64, 3)])
}

fn stem(store: &mut Store, width: usize, kernel: usize, stride: usize) -> Result<Chain> {
    Ok(vec![
        (
            "conv1".to_owned(),
            Layer::Conv(Conv::new(store, "conv1", (3, width), kernel, stride)?),
        ),
        ("bn1".to_owned(), Layer::BatchNorm(BatchNorm::new(store, "bn1", width)?)),
        ("relu".to_owned(), Layer::Activation(Activation::Relu)),
    ])
}

/// Adds the stages, (width, depth) each, and the classifier.
fn finish(
    store: &mut Store,
    mut chain: Chain,
    block: Block,
    stages: &[(usize, usize)],
) -> Result<Chain> {
    let mut inputs = stages[0].0;
    for (stage, &(width, depth)) in stages.iter().enumerate() {
        for index in 0..depth {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let name = format!("layer{}.{index}", stage + 1);
            let residual = residual(store, &name, block, (inputs, width), stride)?;
            chain.push((name, Layer::Residual(residual)));
            inputs = width * block.expansion();
        }
    }
    chain.push(("avgpool".to_owned(), Layer::AdaptivePool(1)));
    chain.push(("flatten".to_owned(), Layer::Flatten));
    let init = [Init::linear_default(inputs); 2];
    let fc = Linear::new(store, "fc", (inputs, store.classes()), init)?;
    chain.push(("fc".to_owned(), Layer::Linear(fc)));
    Ok(chain)
}

impl Block {
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }

    /// Inputs, outputs, kernel and stride of each convolution.
    fn convolutions(
        self,
        inputs: usize,
        width: usize,
        stride: usize,
    ) -> Vec<(usize, usize, usize, usize)> {
        match self {
            Self::Basic => vec![(inputs, width, 3, stride), (width, width, 3, 1)],
            Self::Bottleneck => vec![
                (inputs, width, 1, 1),
                (width, width, 3, stride),
                (width, 4 * width, 1, 1),
            ],
        }
    }
}

/// relu(branch(x) + shortcut(x)).
fn residual(
    store: &mut Store,
    name: &str,
    block: Block,
    (inputs, width): (usize, usize),
    stride: usize,
) -> Result<Residual> {
    let mut branch = Vec::new();
    let convolutions = block.convolutions(inputs, width, stride);
    for (i, (from, to, kernel, stride)) in (1..).zip(convolutions) {
        let conv =
            Conv::new(store, &format!("{name}.conv{i}"), (from, to), kernel, stride)?;
        branch.push((conv, BatchNorm::new(store, &format!("{name}.bn{i}"), to)?));
    }
    let (conv, norm) = branch.pop().expect("a block has convolutions");
    let activated = |(conv, norm)| {
        [Layer::Conv(conv), Layer::BatchNorm(norm), Layer::Activation(Activation::Relu)]
    };
    let inner = branch.into_iter().flat_map(activated).collect();
    let outputs = width * block.expansion();
    let mut shortcut = Vec::new();
    if stride != 1 || inputs != outputs {
        let conv = format!("{name}.downsample.0");
        let norm = format!("{name}.downsample.1");
        shortcut.push(Layer::Conv(Conv::new(store, &conv, (inputs, outputs), 1, stride)?));
        shortcut.push(Layer::BatchNorm(BatchNorm::new(store, &norm, outputs)?));
    }
    Ok(Residual { inner, conv, norm, shortcut, activation: Activation::Relu })
}
