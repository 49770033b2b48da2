//! Whole steps of training on a GPU, as `train` takes them but for the reading of images.

use anyhow::Result;
use candle_core::{DType, Tensor};
use models::Mode;
use ops::{
    Later, Node,
    optimizer::{Rule, Update, update},
};

use crate::Whole;

const RATE: f64 = 1e-3;
const BETA: [f64; 2] = [0.9, 0.999];

/// Adam, after so many steps.
fn adam(step: i32) -> Rule {
    let [first, second] = BETA.map(|beta| 1.0 - beta.powi(step));
    Rule::Adam {
        size: (RATE / first) as f32,
        root: second.sqrt() as f32,
        take: (1.0 - BETA[0]) as f32,
        keep: BETA[1] as f32,
        add: (1.0 - BETA[1]) as f32,
        epsilon: 1e-8,
        weight_decay: 0.0,
    }
}

pub(crate) fn repeat(whole: &Whole) -> Result<()> {
    let (network, images) = whole.open()?;
    let (labels, device) = (whole.labels(), images.device().clone());
    let images = Node::from(&images);
    let shares = Tensor::full(1.0 / whole.batch as f32, whole.batch, &device)?;
    let parameters = network.parameters();
    let zeros = || {
        let of = |parameter: &Tensor| Tensor::zeros(parameter.shape(), DType::F32, &device);
        parameters.values().map(|parameter| of(parameter)).collect::<Result<Vec<_>, _>>()
    };
    let moments: Vec<[Tensor; 2]> =
        zeros()?.into_iter().zip(zeros()?).map(<[Tensor; 2]>::from).collect();
    let mut step = 0;
    let mut last: Option<Later> = None;
    whole.place.repeat(|| {
        step += 1;
        let mode = Mode::Train { dropout_seed: step as u64 };
        let logits = network.forward(&images, mode)?;
        let losses = ops::cross_entropy(&logits, &labels)?;
        drop(logits);
        let gradients = losses.backward(&shares)?;
        let updates = parameters.values().zip(&moments).map(|(parameter, moments)| {
            let parameter = parameter.as_tensor();
            let gradient =
                gradients.get(parameter).expect("every parameter has a gradient");
            Update { parameter, gradient, moments }
        });
        let finite = update(adam(step), &updates.collect::<Vec<_>>())?;
        // what a step says of itself is read while the next one computes
        last.replace(finite).map(Later::values).transpose()?;
        Ok(())
    })
}
