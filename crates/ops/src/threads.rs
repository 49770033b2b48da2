//! Where operators are called from.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runs `work` on one of the threads that compute, while the others stay awake.
///
/// Between two operators there is little to do for microseconds only; a thread that falls
/// asleep meanwhile takes longer to wake than many an operator takes to run.
///
/// `work` must not wait for other work of these threads, of which there may be a single one.
/// While one call keeps them awake others, inside of its work or beside it, just run theirs: two
/// that did might wait for each other.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::threads::run(|| 2 + 2), 4);
/// ```
pub fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    /// Whether some call keeps them awake.
    static AWAKE: AtomicBool = AtomicBool::new(false);
    // nothing to keep them awake for: they prepare what a GPU is given
    #[cfg(feature = "cuda")]
    if crate::cuda::is_open() {
        return work();
    }
    if AWAKE.swap(true, Relaxed) {
        return rayon::scope(|_| work());
    }
    let _after = At(&AWAKE, false);
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let this = rayon::current_thread_index();
        let done = &done;
        scope.spawn_broadcast(move |_, thread| {
            while Some(thread.index()) != this && !done.load(Relaxed) {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::yield_now();
                }
            }
        });
        let _at_end = At(done, true);
        work()
    })
}

/// Sets a flag when it is dropped, be it by a panic.
struct At<'a>(&'a AtomicBool, bool);

impl Drop for At<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    fn sum() -> u64 {
        (0..1000u64).into_par_iter().sum()
    }

    #[test]
    fn calls_inside_and_beside_each_other_and_after_a_panic_end() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        pool.install(|| {
            let found: Vec<u64> =
                (0..64).into_par_iter().map(|_| run(|| run(sum) + sum())).collect();
            assert!(found.iter().all(|&found| found == 2 * sum()));
        });
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!((0..50).all(|_| run(sum) == sum())));
            }
        });
        assert!(std::panic::catch_unwind(|| run(|| panic!("on purpose"))).is_err());
        assert_eq!(run(sum), sum());
    }
}
