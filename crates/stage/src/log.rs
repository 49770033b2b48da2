use std::{
    io::{self, IsTerminal},
    panic,
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::terminal::{Stderr, line};

/// Sends the log to stderr: what `RUST_LOG` asks for, or information and worse.
pub(crate) fn start() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    // An error means that the log is already set up, as in tests.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        // a lost terminal or a full disk under the log must not end a long run
        .log_internal_errors(false)
        .try_init();
}

/// Makes a panic one line, with the trace only where `RUST_BACKTRACE` asks for it.
pub(crate) fn shorten_panics() {
    let long = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted != "0") {
            return long(panic);
        }
        let place = panic.location().map_or_else(String::new, |at| format!(" at {at}"));
        let what = panic.payload_as_str().unwrap_or("unknown").replace('\n', " ");
        line(&format!(
            "error: a mistake in this program{place}: {what} (RUST_BACKTRACE=1 tells more)"
        ));
    }));
}
