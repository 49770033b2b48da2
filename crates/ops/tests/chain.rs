//! Gradients through layers that follow each other, against those of each layer alone.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "what other tests need is in it too")]
mod common;

use candle_core::{Device, Result, Tensor};
use common::{uniform, values};
use ops::{Activation, Conv2d, Fold, Node, Then};

/// Input and weights, stride and groups; the padding is half the kernel.
type Case = ([usize; 4], [usize; 4], usize, usize);

const CASES: [Case; 7] = [
    ([2, 4, 7, 6], [4, 4, 3, 3], 1, 1),
    ([2, 4, 7, 6], [4, 1, 3, 3], 1, 4),
    ([2, 20, 7, 6], [20, 1, 3, 3], 2, 20),
    ([2, 4, 16, 17], [4, 4, 1, 1], 1, 1),
    ([2, 4, 7, 6], [40, 4, 1, 1], 2, 1),
    ([2, 6, 7, 6], [6, 3, 3, 3], 1, 2),
    ([2, 65, 7, 6], [65, 65, 3, 3], 1, 1),
];

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    Ok(x.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
}

fn fold(channels: usize) -> Result<Fold> {
    let [gamma, beta, mean] = [2, 3, 4].map(|seed| uniform(&[channels], seed));
    Fold::new(&gamma, &beta, &mean, &(uniform(&[channels], 5) + 1.5)?, 1e-5)
}

/// What makes the activation that a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Producer {
    Normalisation,
    Folded,
    Convolution,
    /// With the statistics of the batch, and a shortcut.
    Trained,
}

impl Producer {
    fn run(self, x: &Node, activation: Activation) -> Result<Node> {
        let channels = x.dim(1)?;
        let fold = fold(channels)?;
        let then = Then { activation, ..Then::NOTHING };
        let weight = uniform(&[channels, channels, 1, 1], 6);
        let of = |seed| Node::from(&uniform(&[channels], seed));
        match self {
            Self::Normalisation => ops::batch_norm_eval(x, &fold, then),
            Self::Folded => ops::conv2d_folded(x, &weight, Conv2d::default(), &fold, then),
            Self::Convolution => {
                let weight = Node::from(&weight);
                ops::conv2d_activated(
                    x,
                    &weight,
                    Some(&of(7)),
                    Conv2d::default(),
                    activation,
                )
            }
            Self::Trained => {
                let then = Then { shortcut: Some(x), activation };
                Ok(ops::batch_norm(x, &of(7), &of(8), 1e-5, then)?.0)
            }
        }
    }
}

/// Values of which some are not finite.
fn extremes(shape: &[usize]) -> Result<Tensor> {
    let mut x: Vec<f32> = values(shape, 0).flatten_all()?.to_vec1()?;
    x[..3].copy_from_slice(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    Tensor::from_vec(x, shape, &Device::Cpu)
}

#[test]
fn what_passes_an_activation_early_is_bit_by_bit_what_passes_it_late() -> Result<()> {
    use Producer::{Convolution, Folded, Normalisation, Trained};
    for producer in [Normalisation, Folded, Convolution, Trained] {
        for case in CASES {
            for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
                check(producer, case, activation)?;
            }
        }
    }
    Ok(())
}

fn check(producer: Producer, case: Case, activation: Activation) -> Result<()> {
    let (shape, weights, stride, groups) = case;
    let name = format!("{producer:?}, {case:?}, {activation:?}");
    let padding = (weights[2] - 1) / 2;
    let (stride, padding) = ((stride, stride), (padding, padding));
    let conv = Conv2d { stride, padding, groups, ..Conv2d::default() };
    let (weight, after) = (uniform(&weights, 1), fold(weights[0])?);
    let is_trained = producer == Producer::Trained;
    let x = if is_trained { values(&shape, 0) } else { extremes(&shape)? };
    // a folded convolution, which is added to what it read where it keeps the shape, and a
    // plain one beside it
    let second = |a: &Node| -> Result<Node> {
        let shortcut = (shape[1] == weights[0] && stride == (1, 1)).then_some(a);
        let then = Then { shortcut, activation };
        let folded = ops::conv2d_folded(a, &weight, conv, &after, then)?;
        let kernel = Node::variable(&weight);
        let plain = ops::conv2d_activated(a, &kernel, None, conv, activation)?;
        ops::batch_norm_eval(
            &folded,
            &after,
            Then { shortcut: Some(&plain), ..Then::NOTHING },
        )
    };
    let a = producer.run(&Node::variable(&x), activation)?;
    let y = second(&a)?;
    let seed = uniform(y.dims(), 9);
    let whole = y.clone().backward(&seed)?;
    let whole = whole.get(&x).unwrap();

    // the second layer alone, and then the first
    let of_middle = second(&Node::variable(a.tensor()))?.backward(&seed)?;
    let of_middle = of_middle.get(a.tensor()).unwrap();
    let parts = a.backward(of_middle)?;
    assert!(bits(whole)? == bits(parts.get(&x).unwrap())?, "{name}");

    if !is_trained {
        let pick =
            |x: &Tensor| x.index_select(&Tensor::new(&[1u32, 0, 1], &Device::Cpu)?, 0);
        let some = y.backward_rows(&[1, 0, 1], &pick(&seed)?)?;
        let whole = pick(&ops::row_major(whole)?)?;
        assert!(bits(some.get(&x).unwrap())? == bits(&whole)?, "rows of {name}");
    }
    Ok(())
}
