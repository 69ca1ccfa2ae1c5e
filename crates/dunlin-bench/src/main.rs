//! The program `dunlin-bench`: the command line of the library, and nothing else.

use std::process::ExitCode;

use clap::Parser;

/// Measures what MQTT brokers spend per message and per connection
#[derive(Debug, Parser)]
#[command(name = "dunlin-bench", version)]
struct Program {
    #[command(flatten)]
    bench: dunlin_bench::cli::BenchArgs,
}

fn main() -> ExitCode {
    match dunlin_bench::cli::run(Program::parse().bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_status())
        }
    }
}
