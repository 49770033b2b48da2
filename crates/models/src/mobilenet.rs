//! MobileNetV2 of width 1: Sandler et al. 2018, as torchvision builds it.

use candle_core::Tensor;

use crate::{
    Mode, Result,
    init::Init,
    layer::{
        AdaptivePool, BatchNorm, Chain, Conv, Dropout, Flatten, Layer, Linear, Relu6,
        Sequence,
    },
    store::Store,
};

/// Expansion, output channels, blocks and stride of the first of them (the paper's Table 2).
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// Channels before the classifier.
const LAST: usize = 1280;

/// `features.0` … `features.18`, `avgpool`, `flatten`, `classifier.0`, `classifier.1`.
///
/// torchvision pools and flattens in functions; `avgpool` and `flatten` are ResNet's names.
pub(crate) fn chain(store: &mut Store) -> Result<Chain> {
    let stem = Conv::new(store, "features.0.0", (3, 32), 3, 2)?;
    let stem = activated(store, stem, "features.0.1", 32)?;
    let mut chain: Chain = vec![("features.0".to_owned(), Box::new(Sequence(stem)))];
    let mut inputs = 32;
    for (expansion, outputs, blocks, first_stride) in STAGES {
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let name = format!("features.{}", chain.len());
            let channels = (inputs, outputs);
            let block = InvertedResidual::new(store, &name, channels, expansion, stride)?;
            chain.push((name, Box::new(block)));
            inputs = outputs;
        }
    }
    let last = Conv::new(store, "features.18.0", (inputs, LAST), 1, 1)?;
    let last = activated(store, last, "features.18.1", LAST)?;
    chain.push(("features.18".to_owned(), Box::new(Sequence(last))));
    chain.push(("avgpool".to_owned(), Box::new(AdaptivePool(1))));
    chain.push(("flatten".to_owned(), Box::new(Flatten)));
    let position = chain.len();
    chain.push(("classifier.0".to_owned(), Box::new(Dropout { p: 0.2, position })));
    let init = [Init::Normal(0.01), Init::Constant(0.0)];
    let classifier = Linear::new(store, "classifier.1", (LAST, store.classes()), init)?;
    chain.push(("classifier.1".to_owned(), Box::new(classifier)));
    Ok(chain)
}

/// A convolution, its batch normalisation `norm`, and `ReLU6`.
fn activated(
    store: &mut Store,
    conv: Conv,
    norm: &str,
    channels: usize,
) -> Result<Vec<Box<dyn Layer>>> {
    let norm = BatchNorm::new(store, norm, channels)?;
    Ok(vec![Box::new(conv), Box::new(norm), Box::new(Relu6)])
}

/// Expand, filter each channel, project; plus the input where the shape is the same.
struct InvertedResidual {
    branch: Sequence,
    joined: bool,
}

impl InvertedResidual {
    fn new(
        store: &mut Store,
        name: &str,
        (inputs, outputs): (usize, usize),
        expansion: usize,
        stride: usize,
    ) -> Result<Self> {
        let hidden = inputs * expansion;
        let mut branch = Vec::new();
        let mut next = 0;
        if expansion > 1 {
            let conv =
                Conv::new(store, &format!("{name}.conv.0.0"), (inputs, hidden), 1, 1)?;
            branch.extend(activated(store, conv, &format!("{name}.conv.0.1"), hidden)?);
            next += 1;
        }
        let conv =
            Conv::depthwise(store, &format!("{name}.conv.{next}.0"), hidden, stride)?;
        let norm = format!("{name}.conv.{next}.1");
        branch.extend(activated(store, conv, &norm, hidden)?);
        let conv = format!("{name}.conv.{}", next + 1);
        branch.push(Box::new(Conv::new(store, &conv, (hidden, outputs), 1, 1)?));
        let norm = format!("{name}.conv.{}", next + 2);
        branch.push(Box::new(BatchNorm::new(store, &norm, outputs)?));
        Ok(Self { branch: Sequence(branch), joined: stride == 1 && inputs == outputs })
    }
}

impl Layer for InvertedResidual {
    fn forward(&self, x: &Tensor, mode: Mode) -> candle_core::Result<Tensor> {
        let branch = self.branch.forward(x, mode)?;
        if self.joined { branch + x } else { Ok(branch) }
    }
}
