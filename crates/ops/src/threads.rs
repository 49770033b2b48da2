//! Where operators are called from.

/// Runs `work` on one of the threads that compute: each of its operators then has one less to
/// wake, and none to wait for.
///
/// `work` must not wait for other work of these threads, of which there may be a single one.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::threads::run(|| 2 + 2), 4);
/// ```
pub fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}
