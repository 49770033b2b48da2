use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// The stage was asked to stop, by Ctrl-C or SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The exit code of an interrupted stage.
pub(crate) const CODE: u8 = 130;

/// A flag that the first Ctrl-C or SIGTERM sets; the second one ends the process.
///
/// SIGHUP is left alone, so that `nohup` works.
pub(crate) fn listen() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let flag = Arc::clone(&interrupted);
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if flag.swap(true, Ordering::SeqCst) {
                process::exit(CODE.into());
            }
            tracing::warn!(
                "interrupted: stopping as soon as possible; once more stops at once"
            );
        }
    })?;
    Ok(interrupted)
}
