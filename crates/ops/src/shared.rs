//! An output that several threads write to, each its own elements.

#![expect(unsafe_code, reason = "threads write disjoint elements of one allocation")]

use core::{
    marker::PhantomData,
    slice,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use crate::threads;

/// Pointer to the first element of an allocation that outlives `'a`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<'a>(*mut f32, PhantomData<&'a mut [f32]>);

// SAFETY: it is an address; all accesses are unsafe and promise to be disjoint.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    /// The allocation that begins at `first`.
    pub(crate) fn new(first: *mut f32) -> Self {
        Self(first, PhantomData)
    }

    /// Address of element `index`.
    ///
    /// # Safety
    ///
    /// It is inside the allocation.
    pub(crate) unsafe fn pointer(self, index: usize) -> *mut f32 {
        // SAFETY: as the caller promises.
        unsafe { self.0.add(index) }
    }
}

/// Hands the pieces of `values`, each of `size` but the last, to `write` on all threads.
pub(crate) fn chunks_mut<T: Send>(
    values: &mut [T],
    size: usize,
    write: impl Fn(usize, &mut [T]) + Sync,
) {
    let (len, size) = (values.len(), size.max(1));
    let first = AtomicPtr::new(values.as_mut_ptr());
    threads::each(len.div_ceil(size), |i| {
        let start = i * size;
        // SAFETY: each piece is inside of the values, and nobody else has it.
        let piece = unsafe {
            let first = first.load(Relaxed).add(start);
            slice::from_raw_parts_mut(first, size.min(len - start))
        };
        write(i, piece);
    });
}

/// A vector of `len` elements that `fill` writes, without writing zeros first.
///
/// # Safety
///
/// `fill` writes every element.
pub(crate) unsafe fn filled(len: usize, fill: impl FnOnce(Shared<'_>)) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    fill(Shared::new(values.as_mut_ptr()));
    // SAFETY: the capacity is `len` and the caller promises that all were written.
    unsafe { values.set_len(len) };
    values
}
