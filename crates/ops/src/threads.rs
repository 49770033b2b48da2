//! The threads that compute: where operators are called from, and loops on all of them.

use core::{
    iter,
    ops::Range,
    sync::atomic::{
        AtomicBool, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use std::{
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

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
    let vigil = Vigil::default();
    rayon::scope(|scope| {
        let this = rayon::current_thread_index();
        let vigil = &vigil;
        scope.spawn_broadcast(move |_, thread| {
            if Some(thread.index()) != this {
                vigil.keep();
            }
        });
        vigil.begin(rayon::current_num_threads() - 1);
        let _at_end = At(&vigil.done, true);
        work()
    })
}

/// Runs `task` for every number below `count`, on all threads; a single one where it is called.
///
/// Each thread begins with a stretch of neighbouring numbers; one that is done takes what the
/// others have not begun. At the end no thread waits longer than one task takes.
pub(crate) fn each(count: usize, task: impl Fn(usize) + Sync) {
    let threads = rayon::current_num_threads().min(count);
    if threads <= 1 {
        return (0..count).for_each(task);
    }
    let bound = |stretch: usize| stretch * count / threads;
    // relaxed, since `join` orders what the tasks write
    let next: Vec<AtomicUsize> = (0..threads).map(|i| AtomicUsize::new(bound(i))).collect();
    spread(0..threads, &|first| {
        for stretch in (first..threads).chain(0..first) {
            let end = bound(stretch + 1);
            let numbers = iter::repeat_with(|| next[stretch].fetch_add(1, Relaxed));
            numbers.take_while(|&number| number < end).for_each(&task);
        }
    });
}

/// Does all these at once, as far as there are threads.
fn spread(these: Range<usize>, work: &(impl Fn(usize) + Sync)) {
    let Range { start, end } = these;
    if these.len() <= 1 {
        return these.for_each(work);
    }
    let middle = usize::midpoint(start, end);
    rayon::join(|| spread(start..middle, work), || spread(middle..end, work));
}

/// How long is waited for threads to wake, at most: one that does other work may come much later.
const PATIENCE: Duration = Duration::from_millis(2);

/// How often a thread looks for work before it lets others have the processor: most of it comes
/// sooner than a system call returns.
const LOOKS: u32 = 64;

/// The threads that stay awake.
#[derive(Debug, Default)]
struct Vigil {
    /// How many do.
    awake: Mutex<usize>,
    /// Told of each that wakes.
    woken: Condvar,
    /// Whether the work has begun: who comes then may have been called away from a part of it, and
    /// would wait for the end of what waits for that part.
    begun: AtomicBool,
    /// Whether the work is done.
    done: AtomicBool,
}

impl Vigil {
    /// Takes part in the work until it is done.
    fn keep(&self) {
        if self.begun.load(Acquire) {
            return;
        }
        *self.awake.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.woken.notify_one();
        let mut looked = 0;
        while !self.done.load(Acquire) {
            if rayon::yield_now() == Some(rayon::Yield::Executed) {
                looked = 0;
            } else if looked < LOOKS {
                looked += 1;
            } else {
                thread::yield_now();
            }
        }
    }

    /// Lets the work begin once so many are awake.
    fn begin(&self, others: usize) {
        let awake = self.awake.lock().unwrap_or_else(PoisonError::into_inner);
        let some_sleep = |awake: &mut usize| *awake < others;
        // all or not, it begins
        drop(self.woken.wait_timeout_while(awake, PATIENCE, some_sleep));
        self.begun.store(true, Release);
    }
}

/// Sets a flag when it is dropped, be it by a panic.
struct At<'a>(&'a AtomicBool, bool);

impl Drop for At<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Release);
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn a_thread_that_comes_after_the_work_has_begun_does_not_wait_for_its_end() {
        let vigil = Vigil::default();
        // nobody else is there, and nobody comes
        vigil.begin(1);
        vigil.keep();
        assert_eq!(vigil.awake.into_inner().ok(), Some(0));
    }

    #[test]
    fn each_number_comes_once_whoever_takes_it() {
        for (threads, count) in [(1, 3), (2, 0), (2, 1), (3, 100), (4, 3)] {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let times: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            pool.install(|| {
                each(count, |i| {
                    // another loop inside: its tasks are not those of the outer one
                    each(2, |_| _ = times[i].fetch_add(1, Relaxed));
                });
            });
            assert!(
                times.iter().all(|times| times.load(Relaxed) == 2),
                "{threads} {count}"
            );
        }
    }

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
        assert!(std::panic::catch_unwind(|| each(9, |i| assert_ne!(i, 4))).is_err());
        assert_eq!(run(sum), sum());
    }
}
