//! The token grid beside kiddo, brute force and the machine, row by row.
//!
//! `cargo run --release -p examples --bin grid_bench -- --size 1000000 --json grid.json`
//!
//! Answers are compared before anything is timed. Then the two sides take turns, round by round; a
//! figure is the median of the rounds, with the least and the largest beside it. Times are CPU time
//! of one thread unless a row says otherwise. kiddo's bucket is tuned for the data first, and it gets
//! its batch interface where that is faster.

mod data;
mod live;
mod peer;
mod report;
mod searches;
mod whole;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use data::Data;
use report::Report;

#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    Small,
    Full,
}

/// Benchmarks of the token grid.
#[derive(Parser)]
struct Arguments {
    /// Rows to run: nearest, arrival, far, small, within, count, threads, build, nearest_graph,
    /// radius_graph, live, cell, connections, distances, pairwise, influence, snapshot, and survivors:
    /// ten million tokens, in the full profile only.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// A quick look, or figures to quote: decides `--size` and `--rounds` where they are not given.
    #[arg(long, value_enum, default_value = "full")]
    profile: Profile,
    /// Tokens in the grid; by profile 100,000 or 1,000,000.
    #[arg(long)]
    size: Option<usize>,
    /// Kinds of data.
    #[arg(long, value_delimiter = ',', default_value = "uniform,clusters")]
    data: Vec<String>,
    /// Raw little-endian f32 positions of shape (n, 8), as one more kind of data.
    #[arg(long)]
    real: Option<PathBuf>,
    /// Queries in a batch.
    #[arg(long, default_value_t = 10_000)]
    queries: usize,
    /// Rounds to take the median of; by profile 3 or 5.
    #[arg(long)]
    rounds: Option<usize>,
    /// Writes the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (size, rounds) = match arguments.profile {
        Profile::Small => (100_000, 3),
        Profile::Full => (1_000_000, 5),
    };
    let (size, rounds) = (arguments.size.unwrap_or(size), arguments.rounds.unwrap_or(rounds));
    // What is parallel runs on this thread, so that its CPU time is all of it.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()?;
    let wants = |row: &str| arguments.rows.is_empty() || arguments.rows.iter().any(|r| r == row);
    let mut report = Report::new(rounds.max(1));

    let mut kinds = Vec::new();
    for kind in &arguments.data {
        kinds.push(Data::synthetic(kind, size, arguments.queries)?);
    }
    if let Some(path) = &arguments.real {
        kinds.push(Data::read(path, size, arguments.queries)?);
    }
    for data in &kinds {
        println!("{}: {} tokens, {} queries", data.name, data.points.len(), data.queries.len());
        searches::run(data, &wants, &mut report)?;
        whole::graphs(data, &wants, &mut report)?;
        live::run(data, &wants, &mut report)?;
    }
    if let Some(data) = kinds.first() {
        whole::machine(data, &wants, &mut report)?;
    }
    if matches!(arguments.profile, Profile::Full) && arguments.size.is_none() {
        drop(kinds);
        for kind in &arguments.data {
            whole::survivors(kind, &wants, &mut report)?;
        }
    }
    report.finish();
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}
