//! Runs a stage in a process of its own and looks at how it ends.
//!
//! There is no test harness: the program is both the tests and, where `CHILD` is set, the
//! stage that they start.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, ExitCode, Output, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use stage::Stage;

const CHILD: &str = "CONSONANCE_TEST_CHILD";

/// Ends in the way it is told
#[derive(Parser)]
#[command(name = "child", version)]
struct Args {
    /// How to end
    #[arg(long, default_value = "well")]
    how: String,
    #[command(flatten)]
    common: stage::Common,
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    stage.device(&args.common)?;
    match args.how.as_str() {
        "badly" => Err(io::Error::other("the cause")).context("the context"),
        "panic" => panic!("two\nlines"),
        "wait" => loop {
            writeln!(io::stdout(), "ready")?;
            thread::sleep(Duration::from_millis(10));
            stage.check().context("waiting")?;
        },
        "hang" => loop {
            writeln!(io::stdout(), "ready")?;
            thread::sleep(Duration::from_millis(10));
        },
        _ => {
            stage.progress(3, "count").inc(3);
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    if env::var_os(CHILD).is_some() {
        return stage::main(run);
    }
    success_is_zero_and_progress_can_be_silenced();
    a_failure_is_one_line_and_one();
    a_wrong_command_line_is_two();
    help_is_zero_on_stdout();
    a_panic_is_one_line_and_one();
    cuda_without_cuda_is_an_error();
    an_interrupt_is_130();
    a_second_interrupt_ends_what_does_not_listen();
    ExitCode::SUCCESS
}

fn child(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(arguments)
        .env(CHILD, "1")
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LOG");
    command
}

fn end(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = child(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn success_is_zero_and_progress_can_be_silenced() {
    let (code, stdout, stderr) = end(&[]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(stderr.starts_with("count: 3 / 3 (100 %)"), "{stderr}");
    assert_eq!(end(&["--progress", "none"]), (0, String::new(), String::new()));
}

fn a_failure_is_one_line_and_one() {
    let (code, stdout, stderr) = end(&["--how", "badly"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "error: the context: the cause\n");
}

fn a_wrong_command_line_is_two() {
    let (code, _, stderr) = end(&["--what"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--what"), "{stderr}");
}

fn help_is_zero_on_stdout() {
    let (code, stdout, _) = end(&["--help"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("--device") && stdout.contains("Ends in the way"), "{stdout}");
}

fn a_panic_is_one_line_and_one() {
    let (code, _, stderr) = end(&["--how", "panic"]);
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains("two lines"), "{stderr}");
}

fn cuda_without_cuda_is_an_error() {
    let (code, _, stderr) = end(&["--device", "cuda"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("built without CUDA"), "{stderr}");
}

/// Starts a child and waits until it runs.
fn started(how: &str) -> Child {
    let mut child = child(&["--how", how])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.as_mut().unwrap();
    BufReader::with_capacity(6, stdout).read_line(&mut String::new()).unwrap();
    child
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -s {name} {}", child.id());
    assert!(Command::new("bash").args(["-c", &kill]).status().unwrap().success());
}

fn an_interrupt_is_130() {
    for name in ["INT", "TERM"] {
        let child = started("wait");
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.ends_with("error: waiting: interrupted\n"), "{stderr}");
    }
}

fn a_second_interrupt_ends_what_does_not_listen() {
    let mut child = started("hang");
    signal(&child, "INT");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
