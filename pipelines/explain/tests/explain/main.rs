//! The stage as make sees it: files in, a file out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod attacked;
mod clean;
mod options;
mod pictures;
mod refused;
mod setup;
