//! stderr, shared by the log and the progress bars; stdout for what a stage found.

use std::{
    fmt::Display,
    io::{self, Write},
    sync::LazyLock,
};

use indicatif::MultiProgress;

/// Prints what the stage found on stdout.
///
/// A reader who has gone away is no failure: the artefacts are written.
///
/// # Errors
///
/// If stdout cannot be written for another reason, such as a full disk.
pub fn print(found: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{found}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The bars drawn at present.
pub(crate) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// stderr, with the bars out of the way while something is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes a line; there is nobody to tell if stderr is closed.
pub(crate) fn line(text: &str) {
    let _ = Stderr.write_all(format!("{text}\n").as_bytes());
}
