//! Dropout on a GPU, with the mask of the CPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{Result, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    cuda::{Arg, Grid, Kernel, Source, at, empty_like, gpu, launch},
    map::cuda::suffix,
};

/// Values of a thread, as many as a block of `ChaCha8` has words.
const WORDS: usize = 16;

/// Drops values of a dense tensor, those whose number is below `dropped`; scales the others.
pub(super) fn apply(x: &Tensor, seed: u64, dropped: u32, scale: f32) -> Result<Tensor> {
    let y = empty_like(x)?;
    let count = x.elem_count();
    let mut args = vec![at(x)?, at(&y)?, Arg::Int(dropped), Arg::Float(scale)];
    args.extend(key(seed).map(Arg::Int));
    args.push(count.into());
    let kernel =
        Kernel { source: Source::DROPOUT, name: format!("dropout_{}", suffix(x)?) };
    // SAFETY: two tensors of one shape and type.
    unsafe { launch(gpu(x)?, &kernel, Grid::of(count.div_ceil(WORDS)), &args)? };
    Ok(y)
}

/// The words of the key that this seed stands for.
fn key(seed: u64) -> [u32; 8] {
    let bytes = ChaCha8Rng::seed_from_u64(seed).get_seed();
    let word = |i: usize| std::array::from_fn(|j| bytes[4 * i + j]);
    std::array::from_fn(|i| u32::from_le_bytes(word(i)))
}
