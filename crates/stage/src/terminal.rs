//! stderr, shared by the log and the progress bars.

use std::{
    io::{self, Write},
    sync::LazyLock,
};

use indicatif::MultiProgress;

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
