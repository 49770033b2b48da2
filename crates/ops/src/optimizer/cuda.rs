//! One kernel for all parameters, which finds them in a table.

#![expect(unsafe_code, reason = "a kernel is started")]

use candle_core::{DType, Device, Result, Tensor, bail};

use super::{Rule, Update, check};
use crate::{
    Later,
    cuda::{Arg, Grid, Kernel, Source, at, gpu, launch, to_device},
    later, map, row_major,
};

/// Values of a block, as in the kernel.
const CHUNK: usize = 1 << 15;
const THREADS: u32 = 512;
/// Words of a parameter in the table: its address, its gradient's, those of two moments, its
/// length, and its first chunk.
const COLUMNS: usize = 6;

pub(super) fn update(rule: Rule, updates: &[Update<'_>]) -> Result<Later> {
    let Some(first) = updates.first() else { return Ok(Later::from(Vec::new())) };
    let device = gpu(first.parameter)?;
    let (name, numbers) = numbers(rule);
    // they live until the kernel is started
    let gradients = updates.iter().map(|update| flat(update.gradient));
    let gradients = gradients.collect::<Result<Vec<_>>>()?;
    let mut table = Vec::with_capacity(COLUMNS * updates.len());
    let mut chunks = 0;
    for (update, gradient) in updates.iter().zip(&gradients) {
        check(update, rule.moments())?;
        let moment = |k| update.moments.get(k).map_or(Ok(0), address);
        let length = gradient.elem_count();
        table.extend([address(update.parameter)?, address(gradient)?]);
        table.extend([moment(0)?, moment(1)?, length as i64, chunks as i64]);
        chunks += length.div_ceil(CHUNK);
    }
    let rows = to_device(device, table, (updates.len(), COLUMNS))?;
    let flags = Tensor::zeros(updates.len(), DType::F32, &Device::Cuda(device.clone()))?;
    let mut args = vec![at(&rows)?, Arg::Int(updates.len() as u32), at(&flags)?];
    args.extend(numbers.into_iter().map(Arg::Float));
    let kernel = Kernel { source: Source::OPTIMIZER, name: name.to_owned() };
    let grid = Grid { blocks: (chunks as u32, 1, 1), threads: (THREADS, 1, 1) };
    // SAFETY: a row for each parameter, whose buffers are as large as its length says, and a
    // block for each chunk.
    unsafe { launch(device, &kernel, grid, &args)? };
    later(&flags)
}

/// The kernel of a rule, and its last arguments.
fn numbers(rule: Rule) -> (&'static str, Vec<f32>) {
    match rule {
        Rule::Adam { size, root, take, keep, add, epsilon, weight_decay } => {
            ("adam", vec![size, root, take, keep, add, epsilon, weight_decay])
        }
        Rule::Sgd { rate, weight_decay } => ("sgd", vec![rate, weight_decay]),
        Rule::Momentum { rate, momentum, weight_decay } => {
            ("momentum", vec![rate, momentum, weight_decay])
        }
    }
}

/// The gradient as f32 in the order of its shape.
fn flat(gradient: &Tensor) -> Result<Tensor> {
    map::cuda::cast(&row_major(gradient)?.flatten_all()?, DType::F32)
}

fn address(tensor: &Tensor) -> Result<i64> {
    match at(tensor)? {
        Arg::Pointer(address) => Ok(address.cast_signed()),
        _ => bail!("a tensor has an address"),
    }
}
