//! Gradients through layers that follow each other, against those of each layer alone.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "what other tests need is in it too")]
mod common;

use candle_core::{Result, Tensor};
use common::{uniform, values};
use ops::{Activation, Conv2d, Fold, Node, Then};

/// Input and weights, stride and groups; the padding is half the kernel.
const CASES: [([usize; 4], [usize; 4], usize, usize); 7] = [
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

#[test]
fn what_passes_an_activation_early_is_bit_by_bit_what_passes_it_late() -> Result<()> {
    for (shape, weights, stride, groups) in CASES {
        let padding = (weights[2] - 1) / 2;
        let (stride, padding) = ((stride, stride), (padding, padding));
        let conv = Conv2d { stride, padding, groups, ..Conv2d::default() };
        let weight = uniform(&weights, 1);
        let (before, after) = (fold(shape[1])?, fold(weights[0])?);
        let x = values(&shape, 0);
        for activation in [Activation::Relu, Activation::Relu6] {
            let first = |x: &Node| {
                ops::batch_norm_eval(x, &before, Then { activation, ..Then::NOTHING })
            };
            // the second layer, and what it is added to where it keeps the shape
            let second = |a: &Node| -> Result<Node> {
                let shortcut = (shape[1] == weights[0] && stride == (1, 1)).then_some(a);
                let then = Then { shortcut, activation };
                let folded = ops::conv2d_folded(a, &weight, conv, &after, then)?;
                let plain = ops::conv2d_activated(
                    a,
                    &Node::variable(&weight),
                    None,
                    conv,
                    activation,
                )?;
                let then = Then { shortcut: Some(&plain), ..Then::NOTHING };
                ops::batch_norm_eval(&folded, &after, then)
            };
            let a = first(&Node::variable(&x))?;
            let y = second(&a)?;
            let seed = uniform(y.dims(), 9);
            let whole = y.clone().backward(&seed)?;
            let some = y.backward_rows(&[1], &seed.narrow(0, 1, 1)?)?;

            let middle = Node::variable(a.tensor());
            let of_middle = second(&middle)?.backward(&seed)?;
            let of_middle = of_middle.get(a.tensor()).unwrap().clone();
            let parts = a.backward(&of_middle)?;
            let whole = whole.get(&x).unwrap();
            assert!(
                bits(whole)? == bits(parts.get(&x).unwrap())?,
                "{shape:?} {activation:?}"
            );
            let row = whole.narrow(0, 1, 1)?;
            assert!(bits(some.get(&x).unwrap())? == bits(&row)?, "a row of {shape:?}");
        }
    }
    Ok(())
}
