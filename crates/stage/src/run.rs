use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use artifact::Provenance;
use candle_core::Device;
use clap::{Arg, ArgMatches, Command, Parser};

use crate::{
    common::{Common, Precision, ProgressStyle},
    interrupt::{self, Interrupted},
    log, memory,
    progress::Progress,
    revision::Revision,
    terminal::line,
};

/// A stage as it runs: what it was started with, and whether to go on.
#[derive(Debug)]
pub struct Stage {
    provenance: Provenance,
    /// In what a GPU computes, if one does.
    precision: OnceLock<Precision>,
    /// Samples at a time, if that is a flag.
    batch_size: Option<String>,
    style: ProgressStyle,
    interrupted: Arc<AtomicBool>,
}

impl Stage {
    fn new(command: &Command, matches: &ArgMatches, interrupted: Arc<AtomicBool>) -> Self {
        let revision = Revision::current();
        let version = command.get_version().unwrap_or(env!("CARGO_PKG_VERSION"));
        let style = matches.try_get_one("progress").ok().flatten().copied();
        Self {
            provenance: Provenance {
                stage: command.get_name().to_owned(),
                version: version.to_owned(),
                revision: revision.name,
                dirty: revision.dirty,
                seed: matches.try_get_one("seed").ok().flatten().copied().unwrap_or(0),
                flags: flags(command, matches),
                ..Provenance::default()
            },
            precision: OnceLock::new(),
            batch_size: raw(matches, "batch_size"),
            style: style.unwrap_or_default(),
            interrupted,
        }
    }

    /// Opens the device that the stage computes on.
    ///
    /// # Errors
    ///
    /// If a GPU is asked for and cannot be had: there is no silent fall-back.
    pub fn device(&self, common: &Common) -> anyhow::Result<Device> {
        let (device, precision) = common.open()?;
        if let Some(precision) = precision {
            self.precision.get_or_init(|| precision);
        }
        Ok(device)
    }

    /// What the stage's artefacts are made by; their inputs are for the stage to add.
    ///
    /// Flags that name files or bear only on how it runs are left out: `--output`,
    /// `--progress`, `--resume`, and those whose value is a `FILE`, `DIR`, `PACK` or a number of
    /// samples `AT_A_TIME`. So are `--device` and `--precision`, unless [`Self::device`] has
    /// opened a GPU: it does not give what the processor does, bit for bit, and its libraries
    /// choose by the size of the batch, which is recorded then too. The seed is on its own.
    pub fn provenance(&self) -> Provenance {
        let mut provenance = self.provenance.clone();
        if let Some(precision) = self.precision.get() {
            provenance.flags.insert("device".to_owned(), "cuda".to_owned());
            provenance.flags.insert("precision".to_owned(), precision.name().to_owned());
            if let Some(size) = &self.batch_size {
                provenance.flags.insert("batch-size".to_owned(), size.clone());
            }
        }
        provenance
    }

    /// Starts telling how far something of `length` parts is.
    pub fn progress(&self, length: u64, what: &str) -> Progress {
        Progress::new(self.style, length, what)
    }

    /// Passes as long as nobody asked the stage to stop.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] after Ctrl-C or SIGTERM; returned from `run`, it makes the exit code
    /// 130.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        Ok(())
    }
}

/// Parses the command line, runs the stage, and tells an error in one line on stderr.
///
/// The exit code is 0 if it succeeded, 1 if it failed, 2 if the command line is wrong, and
/// 130 if it was interrupted.
pub fn main<A: Parser>(run: fn(&A, &Stage) -> anyhow::Result<()>) -> ExitCode {
    let mut command = A::command();
    let matches = command.get_matches_mut();
    let args =
        A::from_arg_matches(&matches).unwrap_or_else(|e| e.format(&mut command).exit());
    log::start();
    log::shorten_panics();
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let interrupted = interrupt::listen().context("cannot listen for signals")?;
        run(&args, &Stage::new(&command, &matches, interrupted))
    }));
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            line(&format!("error: {}", without_trace(&memory::told(&error))));
            let interrupted = error.chain().any(<dyn std::error::Error>::is::<Interrupted>);
            if interrupted { ExitCode::from(interrupt::CODE) } else { ExitCode::FAILURE }
        }
        // the panic hook has told
        Err(_) => ExitCode::FAILURE,
    }
}

/// A message without the stack trace that candle adds to its own under `RUST_BACKTRACE`.
fn without_trace(message: &str) -> String {
    let lines = message.lines().take_while(|line| !line.trim_start().starts_with("0: "));
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The flags that bear on the result, by their long names, as they were spelt.
fn flags(command: &Command, matches: &ArgMatches) -> BTreeMap<String, String> {
    let value = |arg: &Arg| {
        let values = matches.try_get_raw(arg.get_id().as_str()).ok().flatten()?;
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        let is_unset = !arg.get_action().takes_values() && values == ["false"];
        (!is_unset).then(|| (name(arg).to_owned(), values.join(",")))
    };
    command
        .get_arguments()
        .filter(|arg| bears_on_the_result(arg))
        .filter_map(value)
        .collect()
}

/// What was given for an argument, or its default.
fn raw(matches: &ArgMatches, id: &str) -> Option<String> {
    let mut values = matches.try_get_raw(id).ok().flatten()?;
    values.next().map(|value| value.to_string_lossy().into_owned())
}

fn name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

fn bears_on_the_result(arg: &Arg) -> bool {
    let names_a_file_or_a_batch = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .any(|name| ["FILE", "DIR", "PACK", "AT_A_TIME"].contains(&name.as_str()));
    let is_about_running =
        ["output", "progress", "device", "precision", "seed", "resume", "help", "version"];
    !names_a_file_or_a_batch && !is_about_running.contains(&name(arg))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::Common;

    #[derive(Parser)]
    #[command(name = "invent", version = "1.2.3")]
    struct Args {
        #[arg(long, value_name = "PACK")]
        data: PathBuf,
        #[arg(long)]
        output: PathBuf,
        #[arg(long, default_value_t = 0.5)]
        step_size: f64,
        #[arg(long)]
        tap: Option<String>,
        #[arg(long)]
        fresh_head: bool,
        #[arg(long)]
        resume: bool,
        #[arg(long, value_delimiter = ',')]
        explainer: Vec<String>,
        #[command(flatten)]
        common: Common,
    }

    fn stage(arguments: &str) -> Stage {
        let mut command = Args::command();
        let arguments = format!("invent --data D --output O {arguments}");
        let matches =
            command.try_get_matches_from_mut(arguments.split_whitespace()).unwrap();
        Stage::new(&command, &matches, Arc::default())
    }

    fn flags_of(arguments: &str) -> Vec<(String, String)> {
        stage(arguments).provenance().flags.into_iter().collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_trace_is_cut_off() {
        let said = "model.safetensors: not a matrix\n   0: candle_core::error\n   1: main";
        assert_eq!(without_trace(said), "model.safetensors: not a matrix");
        assert_eq!(without_trace("two\nlines"), "two\nlines");
    }

    #[test]
    fn flags_are_recorded_with_their_defaults() {
        assert_eq!(flags_of(""), [pair("step-size", "0.5")]);
        let given = flags_of("--fresh-head --tap layer4 --explainer a --explainer b,c");
        let expected = [
            pair("explainer", "a,b,c"),
            pair("fresh-head", "true"),
            pair("step-size", "0.5"),
            pair("tap", "layer4"),
        ];
        assert_eq!(given, expected);
    }

    #[test]
    fn what_does_not_bear_on_the_result_is_not_recorded() {
        let plain = stage("").provenance();
        let given = "--resume --progress none --device cuda --precision bf16";
        assert_eq!(stage(given).provenance(), plain);
    }

    #[test]
    fn a_gpu_that_computes_is_recorded_with_its_precision() {
        let stage = stage("--device cuda");
        stage.precision.get_or_init(|| Precision::Tf32);
        let flags = stage.provenance().flags.into_iter().collect::<Vec<_>>();
        let expected =
            [pair("device", "cuda"), pair("precision", "tf32"), pair("step-size", "0.5")];
        assert_eq!(flags, expected);
    }

    #[test]
    fn the_command_names_stage_version_and_seed() {
        let provenance = stage("--seed 7").provenance();
        assert_eq!(
            (provenance.stage.as_str(), provenance.version.as_str()),
            ("invent", "1.2.3")
        );
        assert_eq!(provenance.seed, 7);
        assert!(!provenance.revision.is_empty());
    }

    #[test]
    fn an_interrupted_stage_fails_its_checks() {
        let stage = stage("");
        assert!(stage.check().is_ok());
        stage.interrupted.store(true, Ordering::Relaxed);
        assert!(stage.check().unwrap_err().is::<Interrupted>());
    }
}
