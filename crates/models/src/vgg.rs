//! VGG-16: Simonyan and Zisserman 2015, configuration D, as torchvision builds it.

use ops::{Activation, Pool2d};

use crate::{
    Result,
    init::Init,
    layer::{BatchNorm, Chain, Conv, Dropout, Layer, Linear},
    store::Store,
};

/// Channels of the convolutions between two poolings.
const STAGES: [&[usize]; 5] = [&[64; 2], &[128; 2], &[256; 3], &[512; 3], &[512; 3]];

/// Side of the map that the classifier reads.
const SIDE: usize = 7;

/// `features.0` …, `avgpool`, `flatten`, `classifier.0` … `classifier.6`.
pub(crate) fn chain(store: &mut Store, batch_norm: bool) -> Result<Chain> {
    let mut chain = Chain::new();
    let mut inputs = 3;
    for stage in STAGES {
        for &outputs in stage {
            let name = numbered("features", chain.len());
            let conv = Conv::biased(store, &name, (inputs, outputs))?;
            chain.push((name, Layer::Conv(conv)));
            if batch_norm {
                let name = numbered("features", chain.len());
                let norm = BatchNorm::new(store, &name, outputs)?;
                chain.push((name, Layer::BatchNorm(norm)));
            }
            let relu = Layer::Activation(Activation::Relu);
            chain.push((numbered("features", chain.len()), relu));
            inputs = outputs;
        }
        let halve = Pool2d { kernel: (2, 2), stride: (2, 2), padding: (0, 0) };
        chain.push((numbered("features", chain.len()), Layer::MaxPool(halve)));
    }
    chain.push(("avgpool".to_owned(), Layer::AdaptivePool(SIDE)));
    chain.push(("flatten".to_owned(), Layer::Flatten));
    classify(store, &mut chain, inputs * SIDE * SIDE)?;
    Ok(chain)
}

/// Adds three linear layers, `ReLU` and dropout between them.
fn classify(store: &mut Store, chain: &mut Chain, inputs: usize) -> Result<()> {
    let (first, classes) = (chain.len(), store.classes());
    let mut linear = |index, channels| {
        let name = numbered("classifier", index);
        let init = [Init::Normal(0.01), Init::Constant(0.0)];
        Linear::new(store, &name, channels, init).map(|linear| (name, linear))
    };
    for (index, channels) in [(0, (inputs, 4096)), (3, (4096, 4096))] {
        let (name, layer) = linear(index, channels)?;
        chain.push((name, Layer::Linear(layer)));
        let relu = Layer::Activation(Activation::Relu);
        chain.push((numbered("classifier", index + 1), relu));
        let dropout = Dropout { p: 0.5, position: first + index + 2 };
        chain.push((numbered("classifier", index + 2), Layer::Dropout(dropout)));
    }
    let (name, layer) = linear(6, (4096, classes))?;
    chain.push((name, Layer::Linear(layer)));
    Ok(())
}

fn numbered(group: &str, index: usize) -> String {
    format!("{group}.{index}")
}
