use std::{
    io::{self, IsTerminal},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle as BarStyle};

use crate::{
    common::ProgressStyle,
    terminal::{BARS, line},
    text::{duration, grouped, rate},
};

/// How far something is, told on stderr; usable from several threads.
///
/// Dropped, it tells a last time how far it came.
#[derive(Debug)]
pub struct Progress(Kind);

#[derive(Debug)]
enum Kind {
    Bar(ProgressBar),
    Plain(Plain),
    None,
}

/// A line every few seconds.
#[derive(Debug)]
struct Plain {
    what: String,
    length: u64,
    done: AtomicU64,
    message: Mutex<String>,
    start: Instant,
    last: Mutex<Instant>,
}

const EVERY: Duration = Duration::from_secs(5);

impl Progress {
    pub(crate) fn new(style: ProgressStyle, length: u64, what: &str) -> Self {
        let terminal = io::stderr().is_terminal();
        Self(match style {
            ProgressStyle::None => Kind::None,
            ProgressStyle::Auto | ProgressStyle::Bar if terminal => {
                Kind::Bar(bar(length, what))
            }
            _ => Kind::Plain(Plain::new(length, what, Instant::now())),
        })
    }

    /// Says that `n` more are done.
    pub fn inc(&self, n: u64) {
        match &self.0 {
            Kind::Bar(bar) => bar.inc(n),
            Kind::Plain(plain) => {
                if let Some(text) = plain.inc(n, Instant::now()) {
                    line(&text);
                }
            }
            Kind::None => {}
        }
    }

    /// Sets what is told beside the numbers, such as the loss.
    pub fn message(&self, text: impl Into<String>) {
        match &self.0 {
            Kind::Bar(bar) => bar.set_message(text.into()),
            Kind::Plain(plain) => {
                *plain.message.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
            }
            Kind::None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match &self.0 {
            Kind::Bar(bar) => bar.abandon(),
            Kind::Plain(plain) => line(&plain.end(Instant::now())),
            Kind::None => {}
        }
    }
}

fn bar(length: u64, what: &str) -> ProgressBar {
    let form = "{prefix}: {bar:30} {human_pos} / {human_len} ({percent} %), \
                {per_sec:.1}, {eta} left {msg}";
    let style = BarStyle::with_template(form).expect("the template is well formed");
    let bar =
        BARS.add(ProgressBar::new(length).with_style(style).with_prefix(what.to_owned()));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

impl Plain {
    fn new(length: u64, what: &str, start: Instant) -> Self {
        Self {
            what: what.to_owned(),
            length,
            done: AtomicU64::new(0),
            message: Mutex::default(),
            start,
            last: Mutex::new(start),
        }
    }

    /// The line to write, if one is due.
    fn inc(&self, n: u64, now: Instant) -> Option<String> {
        let done = self.done.fetch_add(n, Ordering::Relaxed) + n;
        // Whoever does not get the lock need not: another thread is about to tell.
        let mut last = self.last.try_lock().ok()?;
        if now.saturating_duration_since(*last) < EVERY || done >= self.length {
            return None;
        }
        *last = now;
        let elapsed = now.saturating_duration_since(self.start);
        let left = elapsed.mul_f64((self.length - done) as f64 / done as f64);
        Some(self.text(done, elapsed, &format!("{} left", duration(left))))
    }

    fn end(&self, now: Instant) -> String {
        let elapsed = now.saturating_duration_since(self.start);
        let done = self.done.load(Ordering::Relaxed);
        self.text(done, elapsed, &format!("in {}", duration(elapsed)))
    }

    fn text(&self, done: u64, elapsed: Duration, time: &str) -> String {
        let percent = (100 * done).checked_div(self.length).unwrap_or(100);
        let per_second = rate(done as f64 / elapsed.as_secs_f64().max(1e-3));
        let (what, position, length) = (&self.what, grouped(done), grouped(self.length));
        let message = self.message.lock().unwrap_or_else(PoisonError::into_inner);
        let comma = if message.is_empty() { "" } else { ", " };
        format!(
            "{what}: {position} / {length} ({percent} %), {per_second}, {time}{comma}{message}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_every_five_seconds_and_tells_rate_and_time_left() {
        let start = Instant::now();
        let plain = Plain::new(8000, "train", start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(plain.inc(600, after(4)), None);
        // 1200 in 12 s are 100 a second; the other 6800 need 68 s
        let line = plain.inc(600, after(12));
        assert_eq!(
            line.as_deref(),
            Some("train: 1 200 / 8 000 (15 %), 100/s, 1 min 08 s left")
        );
        assert_eq!(plain.inc(1, after(16)), None);
    }

    #[test]
    fn the_last_line_tells_how_long_it_took() {
        let start = Instant::now();
        let plain = Plain::new(10, "explain", start);
        plain.inc(10, start);
        *plain.message.lock().unwrap() = "loss 0.5".into();
        let line = plain.end(start + Duration::from_secs(4));
        assert_eq!(line, "explain: 10 / 10 (100 %), 2.5/s, in 4 s, loss 0.5");
    }

    #[test]
    fn nothing_to_do_is_all_done() {
        let start = Instant::now();
        let plain = Plain::new(0, "explain", start);
        assert_eq!(plain.inc(0, start + Duration::from_secs(9)), None);
        assert!(plain.end(start).contains("0 / 0 (100 %)"));
    }

    #[test]
    fn several_threads_may_share_it() {
        let progress = Progress::new(ProgressStyle::Plain, 400, "test");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| progress.inc(1)));
            }
        });
        let Kind::Plain(plain) = &progress.0 else { panic!("plain was asked for") };
        assert_eq!(plain.done.load(Ordering::Relaxed), 400);
    }
}
