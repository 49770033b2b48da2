//! Memory that a task borrows: kept from one task of a thread to the next, and never cleared.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Values that whoever had the memory before has left; the thread gets it back when dropped.
pub(super) struct Scratch {
    values: Vec<f32>,
    len: usize,
}

impl Scratch {
    /// `len` values.
    pub(super) fn new(len: usize) -> Self {
        let mut values = FREE.with_borrow_mut(|free| {
            // the smallest that is large enough, or the largest there is
            let fits = (0..free.len())
                .filter(|&i| free[i].len() >= len)
                .min_by_key(|&i| free[i].len());
            let largest = || (0..free.len()).max_by_key(|&i| free[i].len());
            fits.or_else(largest).map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        if values.len() < len {
            // a fresh block, rather than a copy of what nobody wants
            values = vec![0.0; len];
        }
        Self { values, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        FREE.with_borrow_mut(|free| free.push(values));
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_lent_again() {
        let mut first = Scratch::new(100);
        first[7] = 5.0;
        let second = Scratch::new(10);
        assert_eq!((first.len(), second.len()), (100, 10));
        let place = first.as_ptr();
        drop(second);
        drop(first);
        let again = Scratch::new(50);
        assert_eq!((again.as_ptr(), again.len(), again[7]), (place, 50, 5.0));
        assert_eq!(Scratch::new(5).len(), 5);
    }
}
