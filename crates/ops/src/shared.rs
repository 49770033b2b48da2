//! An output that several threads write to, each its own elements.

#![expect(unsafe_code, reason = "threads write disjoint elements of one allocation")]

use core::{marker::PhantomData, slice};

use crate::threads;

/// Pointer to the first element of an allocation that outlives `'a`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<'a, T = f32>(*mut T, PhantomData<&'a mut [T]>);

// SAFETY: it is an address; all accesses are unsafe and promise to be disjoint.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<T> Shared<'_, T> {
    /// The allocation that begins at `first`.
    pub(crate) fn new(first: *mut T) -> Self {
        Self(first, PhantomData)
    }

    /// Address of element `index`.
    ///
    /// # Safety
    ///
    /// It is inside the allocation.
    pub(crate) unsafe fn pointer(&self, index: usize) -> *mut T {
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
    let first = Shared::new(values.as_mut_ptr());
    threads::each(len.div_ceil(size), |i| {
        let start = i * size;
        // SAFETY: each piece is inside of the values, and `each` gives its number to one task alone.
        let piece = unsafe {
            slice::from_raw_parts_mut(first.pointer(start), size.min(len - start))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_handed_out_with_its_number() {
        for (len, size, pieces) in
            [(7, 3, [0, 0, 0, 1, 1, 1, 2]), (7, 0, [0, 1, 2, 3, 4, 5, 6])]
        {
            let mut values = vec![usize::MAX; len];
            chunks_mut(&mut values, size, |i, piece| piece.fill(i));
            assert_eq!(values, pieces);
        }
        chunks_mut(&mut [0u8; 0], 3, |_, _| unreachable!("there is no piece"));
    }
}
