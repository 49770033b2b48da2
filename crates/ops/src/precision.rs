//! In what a GPU computes.

/// In what convolutions and linear layers are computed on a GPU; on the CPU it is f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Precision {
    /// Products and sums in f32.
    F32,
    /// Factors rounded to the 11 bits of TF32, sums in f32.
    #[default]
    Tf32,
    /// Factors and activations in bf16, sums in f32.
    Bf16,
}
