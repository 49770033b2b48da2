//! Where operators are called from.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runs `work` on one of the threads that compute, while the others stay awake.
///
/// Between two operators there is little to do for microseconds only; a thread that falls
/// asleep meanwhile takes longer to wake than many an operator takes to run.
///
/// `work` must not wait for other work of these threads, of which there may be a single one.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::threads::run(|| 2 + 2), 4);
/// ```
pub fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
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
        let _at_end = AtEnd(done);
        work()
    })
}

/// Sets a flag when it is dropped, be it by a panic.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
