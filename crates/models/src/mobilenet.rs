//! MobileNetV2 of width 1: Sandler et al. 2018, as torchvision builds it.

use ops::Activation;

use crate::{
    Result,
    init::Init,
    layer::{BatchNorm, Chain, Conv, Dropout, Layer, Linear, Residual},
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
    let mut chain: Chain = vec![("features.0".to_owned(), Layer::Sequence(stem))];
    let mut inputs = 32;
    for (expansion, outputs, blocks, first_stride) in STAGES {
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let name = format!("features.{}", chain.len());
            let channels = (inputs, outputs);
            let block = inverted_residual(store, &name, channels, expansion, stride)?;
            chain.push((name, block));
            inputs = outputs;
        }
    }
    let last = Conv::new(store, "features.18.0", (inputs, LAST), 1, 1)?;
    let last = activated(store, last, "features.18.1", LAST)?;
    chain.push(("features.18".to_owned(), Layer::Sequence(last)));
    chain.push(("avgpool".to_owned(), Layer::AdaptivePool(1)));
    chain.push(("flatten".to_owned(), Layer::Flatten));
    let position = chain.len();
    chain.push(("classifier.0".to_owned(), Layer::Dropout(Dropout { p: 0.2, position })));
    let init = [Init::Normal(0.01), Init::Constant(0.0)];
    let classifier = Linear::new(store, "classifier.1", (LAST, store.classes()), init)?;
    chain.push(("classifier.1".to_owned(), Layer::Linear(classifier)));
    Ok(chain)
}

/// A convolution, its batch normalisation `norm`, and `ReLU6`.
fn activated(
    store: &mut Store,
    conv: Conv,
    norm: &str,
    channels: usize,
) -> Result<Vec<Layer>> {
    let norm = Layer::BatchNorm(BatchNorm::new(store, norm, channels)?);
    Ok(vec![Layer::Conv(conv), norm, Layer::Activation(Activation::Relu6)])
}

/// Expand, filter each channel, project; plus the input where the shape is the same.
fn inverted_residual(
    store: &mut Store,
    name: &str,
    (inputs, outputs): (usize, usize),
    expansion: usize,
    stride: usize,
) -> Result<Layer> {
    let hidden = inputs * expansion;
    let mut inner = Vec::new();
    let mut next = 0;
    if expansion > 1 {
        let conv = Conv::new(store, &format!("{name}.conv.0.0"), (inputs, hidden), 1, 1)?;
        inner.extend(activated(store, conv, &format!("{name}.conv.0.1"), hidden)?);
        next += 1;
    }
    let conv = Conv::depthwise(store, &format!("{name}.conv.{next}.0"), hidden, stride)?;
    inner.extend(activated(store, conv, &format!("{name}.conv.{next}.1"), hidden)?);
    let conv = format!("{name}.conv.{}", next + 1);
    let conv = Conv::new(store, &conv, (hidden, outputs), 1, 1)?;
    let norm = BatchNorm::new(store, &format!("{name}.conv.{}", next + 2), outputs)?;
    if stride == 1 && inputs == outputs {
        let (shortcut, activation) = (Vec::new(), Activation::Identity);
        return Ok(Layer::Residual(Residual { inner, conv, norm, shortcut, activation }));
    }
    inner.extend([Layer::Conv(conv), Layer::BatchNorm(norm)]);
    Ok(Layer::Sequence(inner))
}
