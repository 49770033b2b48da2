//! `report`: a run as one self-contained page.
//!
//! Reads what the rounds of a run and of its baseline left, prints their accuracy and
//! localisation by round, and writes a page with charts, the examples of the paper's
//! Figures 3 and 4, and where everything comes from.

mod args;
mod chart;
mod comparison;
mod consistency_examples;
mod origin;
mod page;
mod picture;
mod run;
mod table;

use std::process::ExitCode;

use anyhow::Context;
use args::Args;
use artifact::{Pack, atomic};
use askama::Template;
use stage::Stage;

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, _stage: &Stage) -> anyhow::Result<()> {
    args.common.check()?;
    atomic::check(&[&args.output], [&args.data, &args.test])?;
    let train = Pack::open(&args.data)?;
    let test = Pack::open(&args.test)?;
    let run = run::read(args, &train, &test)?;

    let page = page::Page::new(&run, &train, &test)?;
    let html = page.render().context("the page's template")?;
    atomic::write_bytes(&args.output, html.as_bytes())?;
    stage::print(&table::Table(&page.rows))?;
    tracing::info!("wrote {}", args.output.display());
    Ok(())
}
