//! Changes of parameters where they lie: no second copy of a network.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};

/// Lends a parameter's values and those of its gradient to `rule`, which changes the former.
pub(super) fn change(
    parameter: &Var,
    gradient: &Tensor,
    rule: impl FnMut(&mut [f32], &[f32]),
) -> candle_core::Result<()> {
    let rule = InPlace(RefCell::new(rule));
    parameter.as_tensor().inplace_op2(&gradient.contiguous()?, &rule)
}

/// A function of a parameter, which it changes, and its gradient.
struct InPlace<F>(RefCell<F>);

impl<F: FnMut(&mut [f32], &[f32])> InplaceOp2 for InPlace<F> {
    fn name(&self) -> &'static str {
        "optimizer"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        parameter_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(parameter), CpuStorage::F32(gradient)) = (parameter, gradient)
        else {
            candle_core::bail!("parameters and gradients are f32");
        };
        let ranges =
            (parameter_layout.contiguous_offsets(), gradient_layout.contiguous_offsets());
        let (Some((start, end)), Some((from, to))) = ranges else {
            candle_core::bail!("parameters and gradients are contiguous");
        };
        self.0.borrow_mut()(&mut parameter[start..end], &gradient[from..to]);
        Ok(())
    }
}
