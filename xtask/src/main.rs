//! Everything that is done to this workspace, behind `cargo xtask`.

mod bench;
mod ci;
mod deny;
mod direction;
mod rooms;
mod shell;
mod venv;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set-up, demo, tests, benchmarks and checks of ottava.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make .venv, install what it needs, build the Python module into it.
    Setup {
        /// The interpreter that .venv is made from.
        #[arg(long, default_value = "python3")]
        python: String,
    },
    /// Run the main job on 336,776 real flights and print what it found.
    Demo {
        /// Passed on to the demo.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every test: Rust, documentation, Python, and the stubs against the module.
    Test,
    /// Run every test again and again; property tests try other examples each time.
    Soak {
        /// How often.
        #[arg(long, default_value_t = 10)]
        rounds: u64,
        /// The seed of the first round; the time by default.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Compare with other libraries, side by side in one run; writes target/bench/NAME.json (and NAME.md).
    Bench {
        /// A benchmark (see `benchmarks/`); without one, all of them.
        name: Option<String>,
        /// `small` for a quick look, `full` for figures to quote.
        #[arg(long, default_value = "full", value_parser = ["small", "full"])]
        profile: String,
        /// Put the tables into docs/benchmarks.md, for those benchmarks that print tables.
        #[arg(long)]
        record: bool,
        /// Passed on to the Python half.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check which way dependencies point, where unsafe code stands, and the packages' licenses, sources and bans.
    Policy,
    /// Run every check and every test.
    Ci,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes, not a stack trace: it is a command that failed, not xtask.
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    std::env::set_current_dir(shell::root())?;
    match task {
        Task::Setup { python } => venv::setup(&python),
        Task::Demo { args } => ci::demo(&args),
        Task::Test => ci::test(),
        Task::Soak { rounds, seed } => ci::soak(rounds, seed),
        Task::Bench { name, profile, record, args } => {
            bench::run_all(name.as_deref(), &profile, record, &args)
        }
        Task::Policy => ci::policy(),
        Task::Ci => ci::run_all(),
    }
}
