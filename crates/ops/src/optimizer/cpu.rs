//! The rules on the CPU, where parameters and moments are changed where they lie: no second copy
//! of a network.

use std::cell::Cell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use rayon::prelude::*;

use super::{Rule, Update, check};
use crate::{Later, row_major, storage::read_row_major};

/// Values that one thread changes at a time.
const CHUNK: usize = 1 << 14;

pub(super) fn update(rule: Rule, updates: &[Update<'_>]) -> Result<Later> {
    let flags = updates.iter().map(|update| {
        check(update, rule.moments())?;
        Ok(f32::from(!one(rule, update)?))
    });
    Ok(Later::from(flags.collect::<Result<Vec<_>>>()?))
}

/// Changes a parameter, and says whether it stayed finite.
fn one(rule: Rule, update: &Update<'_>) -> Result<bool> {
    let gradient = row_major(update.gradient)?;
    let gradient = read_row_major(&gradient)?;
    match (rule, update.moments) {
        (Rule::Adam { size, root, take, keep, add, epsilon, weight_decay }, [m, v]) => {
            let each = |p: &mut f32, g: f32, m: &mut f32, v: &mut f32| {
                let g = g + weight_decay * *p;
                *m += take * (g - *m);
                *v = *v * keep + add * g * g;
                *p -= size * (*m / (v.sqrt() / root + epsilon));
            };
            let second = |p: &mut [f32], m: &mut [f32]| {
                changed(v, |v| with_two(p, &gradient, m, v, each))
            };
            changed(update.parameter, |p| changed(m, |m| second(p, m)))??
        }
        (Rule::Momentum { rate, momentum, weight_decay }, [b]) => {
            let each = |p: &mut f32, g: f32, b: &mut f32| {
                *b = momentum * *b + (g + weight_decay * *p);
                *p -= rate * *b;
            };
            changed(update.parameter, |p| changed(b, |b| with_one(p, &gradient, b, each)))?
        }
        (Rule::Sgd { rate, weight_decay }, []) => {
            let each = |p: &mut f32, g: f32| *p -= rate * (g + weight_decay * *p);
            changed(update.parameter, |p| with_none(p, &gradient, each))
        }
        _ => unreachable!("`check` has counted the moments"),
    }
}

fn with_two(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    each: impl Fn(&mut f32, f32, &mut f32, &mut f32) + Sync,
) -> bool {
    (parameter.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .zip(first.par_chunks_mut(CHUNK))
        .zip(second.par_chunks_mut(CHUNK))
        .map(|(((parameter, gradient), first), second)| {
            let values = parameter.iter_mut().zip(gradient).zip(first).zip(second);
            values.for_each(|(((p, g), m), v)| each(p, *g, m, v));
            all_finite(parameter)
        })
        .reduce(|| true, |a, b| a && b)
}

fn with_one(
    parameter: &mut [f32],
    gradient: &[f32],
    moment: &mut [f32],
    each: impl Fn(&mut f32, f32, &mut f32) + Sync,
) -> bool {
    (parameter.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .zip(moment.par_chunks_mut(CHUNK))
        .map(|((parameter, gradient), moment)| {
            let values = parameter.iter_mut().zip(gradient).zip(moment);
            values.for_each(|((p, g), b)| each(p, *g, b));
            all_finite(parameter)
        })
        .reduce(|| true, |a, b| a && b)
}

fn with_none(
    parameter: &mut [f32],
    gradient: &[f32],
    each: impl Fn(&mut f32, f32) + Sync,
) -> bool {
    (parameter.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .map(|(parameter, gradient)| {
            parameter.iter_mut().zip(gradient).for_each(|(p, g)| each(p, *g));
            all_finite(parameter)
        })
        .reduce(|| true, |a, b| a && b)
}

fn all_finite(values: &[f32]) -> bool {
    // `&` where `&&` would stop the vectoriser.
    values.iter().fold(true, |finite, value| finite & value.is_finite())
}

/// Lends the values of a row-major tensor to `change`.
fn changed<R>(tensor: &Tensor, change: impl FnOnce(&mut [f32]) -> R) -> Result<R> {
    let lend = Lend { change: Cell::new(Some(change)), found: Cell::new(None) };
    tensor.inplace_op1(&lend)?;
    Ok(lend.found.take().expect("candle calls an operation once"))
}

/// A function of values which it may change, and what it returned.
struct Lend<F, R> {
    change: Cell<Option<F>>,
    found: Cell<Option<R>>,
}

impl<F: FnOnce(&mut [f32]) -> R, R> InplaceOp1 for Lend<F, R> {
    fn name(&self) -> &'static str {
        "optimizer"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) =
            (storage, layout.contiguous_offsets())
        else {
            bail!("parameters and moments are row-major and f32");
        };
        let change = self.change.take().expect("candle calls an operation once");
        self.found.set(Some(change(&mut values[start..end])));
        Ok(())
    }
}
