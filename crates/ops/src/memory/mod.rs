//! An allocator that keeps large blocks.
//!
//! Training frees and asks for the same tensors over and over. Most allocators give such memory
//! back to the kernel and have every page of it fault anew, or cut it into pieces that fit
//! nothing later.

#![expect(unsafe_code, reason = "an allocator hands out memory")]

mod blocks;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::{Mutex, PoisonError},
};

use blocks::{HEADER, LARGE, State, bytes_of, header};

/// The system's allocator, except that blocks from 128 KiB on are kept for later requests when
/// they are freed, begin with a cache line, and lie in large pages where the kernel has them.
///
/// No block is given back to the kernel or joined with another: the process keeps the most that
/// it needed at any one time of each size. After a `fork` beside other threads the child must not
/// allocate large blocks.
///
/// For a program that computes:
///
/// ```
/// #[global_allocator]
/// static MEMORY: ops::memory::Kept = ops::memory::Kept::new();
///
/// let first = vec![1u8; 1 << 20];
/// let place = first.as_ptr();
/// drop(first);
/// assert_eq!(vec![2u8; 1 << 20].as_ptr(), place);
/// ```
#[derive(Debug)]
pub struct Kept(Mutex<State>);

impl Kept {
    /// An allocator that keeps nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State::new()))
    }

    fn take(&self, bytes: usize) -> Option<(*mut u8, bool)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (block, fresh) = state.take(bytes)?;
        // SAFETY: a block is larger than its header.
        Some((unsafe { block.cast::<u8>().add(HEADER) }, fresh))
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a block of this layout is kept, rather than the system's.
fn is_kept(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= HEADER
}

// SAFETY: a block that is taken belongs to nobody else until it is given back, has room for what
// was asked behind its header, and begins with a cache line; all else is the system's.
unsafe impl GlobalAlloc for Kept {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_kept(layout) {
            return self.take(layout.size()).map_or(ptr::null_mut(), |(memory, _)| memory);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_kept(layout) {
            // SAFETY: as the caller promises.
            return unsafe { System.alloc_zeroed(layout) };
        }
        let Some((memory, fresh)) = self.take(layout.size()) else {
            return ptr::null_mut();
        };
        if !fresh {
            // SAFETY: there is room for so many bytes.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if !is_kept(layout) {
            // SAFETY: as the caller promises.
            return unsafe { System.dealloc(memory, layout) };
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: it was taken with its header before it.
        unsafe { state.give(header(memory.sub(HEADER))) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that makes a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as the caller promises; the header before a kept block tells its size.
        unsafe {
            match (is_kept(layout), is_kept(wanted)) {
                (false, false) => return System.realloc(memory, layout, size),
                (true, true) => {
                    let block = header(memory.sub(HEADER));
                    // what shrinks much moves: it would hold a large block for little
                    let found = bytes_of((*block).size);
                    if (found / 2..=found).contains(&(size + HEADER)) {
                        return memory;
                    }
                }
                _ => {}
            }
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(memory, layout.size().min(size));
                self.dealloc(memory, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 4).unwrap()
    }

    #[test]
    fn what_was_freed_is_taken_again_by_as_much_or_somewhat_less() {
        let kept = Kept::new();
        // SAFETY: each block is written inside of its layout and freed once.
        unsafe {
            let first = kept.alloc(layout(1 << 20));
            assert_eq!(first.align_offset(HEADER), 0);
            first.write_bytes(7, 1 << 20);
            kept.dealloc(first, layout(1 << 20));
            let less = kept.alloc_zeroed(layout(600_000));
            assert_eq!(less, first);
            assert!((0..600_000).all(|i| less.add(i).read() == 0));
            let other = kept.alloc(layout(1 << 20));
            assert_ne!(other, first);
            kept.dealloc(less, layout(600_000));
            // a small part of it is not worth all of it
            let little = kept.alloc(layout(LARGE));
            assert_ne!(little, first);
            assert_eq!(kept.alloc(layout(1 << 20)), first);
        }
    }

    #[test]
    fn what_grows_keeps_its_values() {
        let kept = Kept::new();
        let sizes = [100, LARGE - 1, LARGE, LARGE + 100, 1 << 20, 1 << 29, 1 << 18, 100];
        // SAFETY: the block is written inside of its layout; the last is freed.
        unsafe {
            let mut memory = kept.alloc(layout(sizes[0]));
            memory.write(42);
            for pair in sizes.windows(2) {
                memory = kept.realloc(memory, layout(pair[0]), pair[1]);
                memory.add(pair[1] - 1).write(1);
                assert_eq!(memory.read(), 42);
            }
            kept.dealloc(memory, layout(100));
            // the block that shrank was left
            let last = kept.alloc(layout(1 << 29));
            let place = last.addr();
            let little = kept.realloc(last, layout(1 << 29), LARGE);
            assert_ne!(little.addr(), place);
            assert_eq!(kept.alloc(layout(1 << 29)).addr(), place);
            // beyond a cache line it is the system's
            let page = Layout::from_size_align(LARGE, 4096).unwrap();
            let memory = kept.alloc_zeroed(page);
            assert_eq!((memory.align_offset(4096), memory.add(LARGE - 1).read()), (0, 0));
            kept.dealloc(memory, page);
        }
    }

    #[test]
    fn threads_do_not_share_blocks() {
        let kept = Kept::new();
        std::thread::scope(|scope| {
            for own in 1..=4u8 {
                let kept = &kept;
                scope.spawn(move || {
                    for i in 0..200 {
                        let layout = layout(LARGE + i * 1000);
                        // SAFETY: the block is written inside of its layout and freed once.
                        unsafe {
                            let memory = kept.alloc_zeroed(layout);
                            assert_eq!(memory.add(layout.size() - 1).read(), 0);
                            memory.write_bytes(own, layout.size());
                            std::thread::yield_now();
                            assert!(
                                (0..layout.size()).all(|i| memory.add(i).read() == own)
                            );
                            kept.dealloc(memory, layout);
                        }
                    }
                });
            }
        });
    }
}
