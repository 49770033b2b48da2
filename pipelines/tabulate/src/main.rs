//! `tabulate`: what methods achieve over seeds, and how they differ from a baseline.
//!
//! Reads the evaluations of many runs and writes means, deviations and paired differences as
//! a table (Parquet), and as the same in Markdown and HTML beside it.

mod args;
mod list;
mod measure;
mod page;
mod paired;
mod paper;
mod runs;

use std::process::ExitCode;

use anyhow::{Context, ensure};
use artifact::atomic;
use askama::Template;
use stage::Stage;

use crate::{args::Args, page::Page, paper::Paper, runs::Runs};

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    args.common.check()?;
    let extension = args.output.extension();
    ensure!(
        !extension.is_some_and(|extension| extension == "md" || extension == "html"),
        "--output {}: expected the name of a Parquet file, beside which the pages are written",
        args.output.display()
    );
    let [at_markdown, at_html] =
        ["md", "html"].map(|extension| args.output.with_extension(extension));
    let outputs = [args.output.as_path(), &at_markdown, &at_html];
    atomic::check(&outputs, [&args.runs].into_iter().chain(&args.paper))?;
    let runs = Runs::read(&args.runs, &args.measures)?;
    let comparison = runs
        .compare(args.baseline.as_deref())
        .with_context(|| args.runs.display().to_string())?;
    let paper = args.paper.as_deref().map(Paper::read).transpose()?;

    let mut provenance =
        stage.provenance().with_input("runs", artifact::digest(&args.runs)?);
    if let Some(path) = &args.paper {
        provenance = provenance.with_input("paper", artifact::digest(path)?);
    }
    for (role, digest) in &runs.digests {
        provenance = provenance.with_input(role, digest.as_str());
    }
    let page = Page::new(args, &comparison, paper.as_ref());
    let markdown = page.markdown();
    let html = page.render().context("the page's template")?;
    atomic::write_bytes(&at_markdown, markdown.as_bytes())?;
    atomic::write_bytes(&at_html, html.as_bytes())?;
    comparison.write(&args.output, &provenance)?;
    stage::print(&markdown)?;
    Ok(())
}
