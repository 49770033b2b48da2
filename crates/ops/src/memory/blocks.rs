//! Free blocks by their sizes, and what the kernel gave.

#![expect(unsafe_code, reason = "blocks begin with headers, and come from the kernel")]

use std::ptr;

/// Smallest block that is kept; smaller ones are the system's.
pub(super) const LARGE: usize = 1 << 17;
/// Sizes of blocks from one power of two to the next. A request also takes a block of any of as
/// many sizes above its own, rather than new memory: the last batch, which has fewer images,
/// uses the blocks of the others.
const STEPS: usize = 16;
/// Sizes of blocks.
const SIZES: usize = (usize::BITS - LARGE.ilog2()) as usize * STEPS;
/// Before a block's memory, which so begins with a cache line.
pub(super) const HEADER: usize = 64;
/// Asked of the kernel at a time, at least: addresses, behind which there is memory once they
/// are written to.
const CHUNK: usize = 1 << 28;
/// A large page of the processor: it faults and misses less often than 512 small ones.
const PAGE: usize = 1 << 21;

#[derive(Debug)]
pub(super) struct State {
    /// The free blocks of each size: the last one freed, which knows the one before it.
    free: [*mut Header; SIZES],
    /// Where the rest of the kernel's last chunk begins, and its size.
    rest: (*mut u8, usize),
}

// SAFETY: the blocks belong to nobody but the state.
unsafe impl Send for State {}

#[derive(Debug)]
pub(super) struct Header {
    /// Which of the sizes the block has.
    pub(super) size: usize,
    /// The next free block of this size.
    next: *mut Header,
}

/// The smallest of the sizes that holds `bytes` and the header, which are `LARGE` at least.
fn size_of(bytes: usize) -> usize {
    let bytes = bytes + HEADER - 1;
    let octave = bytes.ilog2();
    let step = (bytes >> (octave - STEPS.ilog2())) - STEPS;
    (octave - LARGE.ilog2()) as usize * STEPS + step
}

/// The bytes of a block of this size, its header among them.
pub(super) fn bytes_of(size: usize) -> usize {
    let octave = size / STEPS;
    (LARGE << octave) / STEPS * (size % STEPS + STEPS + 1)
}

/// What a block begins with.
pub(super) fn header(block: *mut u8) -> *mut Header {
    block.cast()
}

impl State {
    /// One that has no blocks yet.
    pub(super) const fn new() -> Self {
        Self { free: [ptr::null_mut(); SIZES], rest: (ptr::null_mut(), 0) }
    }

    /// A block of memory for `bytes`, and whether nobody has written to it before.
    pub(super) fn take(&mut self, bytes: usize) -> Option<(*mut Header, bool)> {
        let size = size_of(bytes);
        if let Some(block) = self.take_free(size, STEPS) {
            return Some((block, false));
        }
        match self.cut(bytes_of(size)) {
            Some(first) => {
                let block = header(first);
                // SAFETY: it has so many bytes, and blocks are whole cache lines.
                unsafe { block.write(Header { size, next: ptr::null_mut() }) };
                Some((block, true))
            }
            // the kernel has no more: rather too large a block than none
            None => Some((self.take_free(size, SIZES)?, false)),
        }
    }

    /// A free block of the smallest of `count` sizes from `size` on that has one.
    fn take_free(&mut self, size: usize, count: usize) -> Option<*mut Header> {
        let mut free = self.free.iter_mut().skip(size).take(count);
        let first = free.find(|first| !first.is_null())?;
        let block = *first;
        // SAFETY: a free block begins with its header.
        *first = unsafe { (*block).next };
        Some(block)
    }

    /// Memory that was never used.
    fn cut(&mut self, bytes: usize) -> Option<*mut u8> {
        if bytes >= CHUNK {
            return Some(chunk(bytes)?.0);
        }
        if self.rest.1 < bytes {
            self.rest = chunk(CHUNK).or_else(|| chunk(bytes))?;
        }
        let (first, left) = self.rest;
        // SAFETY: the chunk has so many bytes.
        self.rest = (unsafe { first.add(bytes) }, left - bytes);
        Some(first)
    }

    /// # Safety
    ///
    /// The block was taken and is not in use any more.
    pub(super) unsafe fn give(&mut self, block: *mut Header) {
        // SAFETY: as the caller promises.
        unsafe {
            let free = &mut self.free[(*block).size];
            (*block).next = *free;
            *free = block;
        }
    }
}

/// Zeros from the kernel.
fn chunk(bytes: usize) -> Option<(*mut u8, usize)> {
    let whole = bytes.checked_next_multiple_of(PAGE)?.checked_add(PAGE)?;
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, wherever there is room; the advice changes no value.
    unsafe {
        let first = libc::mmap(ptr::null_mut(), whole, access, kind, -1, 0);
        if first == libc::MAP_FAILED {
            return None;
        }
        let first = first.cast::<u8>();
        let before = first.align_offset(PAGE);
        let (first, bytes) = (first.add(before), whole - before);
        #[cfg(target_os = "linux")]
        libc::madvise(first.cast(), bytes, libc::MADV_HUGEPAGE);
        Some((first, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_what_was_asked_and_little_more() {
        for bytes in [LARGE, LARGE + 1, 200_000, 1 << 20, (1 << 20) - HEADER, 123_456_789] {
            let found = bytes_of(size_of(bytes));
            assert!(found >= bytes + HEADER, "{bytes} {found}");
            assert!(
                found <= (bytes + HEADER) / STEPS * (STEPS + 1) + STEPS,
                "{bytes} {found}"
            );
            assert!(found.is_multiple_of(HEADER));
        }
        assert_eq!(size_of(bytes_of(7) - HEADER), 7);
        assert_eq!(size_of(bytes_of(7) - HEADER + 1), 8);
    }
}
