//! The program `dunlin`.

use clap::Parser;
use dunlin::broker::{Broker, StartError};
use dunlin::cli::{self, Cli, Command};
use dunlin::config::Sources;
use dunlin::core_dumps;
use dunlin::log::{self, Log};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    match Cli::parse().command() {
        Command::Serve(arguments) => serve(&arguments.sources()),
        Command::Check(arguments) => cli::check(&arguments.sources()),
        Command::Import(command) => command.run(),
        Command::Passwd(command) => {
            // It has a password in memory, and nothing to lose by going on.
            let _ = core_dumps::forbid();
            command.run()
        }
        Command::Acl(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Ban(command) => command.run(),
        Command::Remote(command) => command.run(),
        Command::Bench(arguments) => cli::bench(arguments),
    }
}

fn serve(sources: &Sources) -> ExitCode {
    let config = match sources.load() {
        Ok(config) => config,
        Err(errors) => return cli::bad_configuration(&errors),
    };
    let log = match log::init(&config.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("dunlin: the log could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !config.server.core_dumps
        && let Err(error) = core_dumps::forbid()
    {
        tracing::warn!("core dumps of this process cannot be ruled out: {error}");
    }
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("dunlin: signals could not be caught: {error}");
            return ExitCode::FAILURE;
        }
    };
    let advice = config.advice(sources);
    let broker = match Broker::start(config) {
        Ok(broker) => broker,
        Err(StartError::Config(errors)) => return cli::bad_configuration(&errors),
        Err(error) => {
            eprintln!("dunlin: {error}");
            return ExitCode::FAILURE;
        }
    };
    announce(&broker, &advice);
    signals.wait(|| reload(sources, &broker, &log));
    tracing::info!("stopping");
    broker.stop();
    ExitCode::SUCCESS
}

fn announce(broker: &Broker, advice: &[String]) {
    for listener in broker.listeners() {
        match listener.address {
            Some(address) => tracing::info!(url = %listener.url, %address, "listening"),
            None => tracing::info!(url = %listener.url, "listening"),
        }
    }
    if let Some(address) = broker.http_address() {
        tracing::info!("operations port: http://{address}/healthz");
    }
    for line in advice {
        tracing::info!("{line}");
    }
}

fn reload(sources: &Sources, broker: &Broker, log: &Log) {
    let reloaded = sources.load().and_then(|config| {
        broker.reload(&config)?;
        log.set_level(&config.log.level);
        Ok(())
    });
    match reloaded {
        Ok(()) => tracing::info!("configuration reloaded"),
        Err(errors) => tracing::error!("nothing was reloaded: {errors}"),
    }
}

/// The signals that end or reload the broker, caught before it starts.
struct Signals {
    runtime: tokio::runtime::Runtime,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hangup = signal(SignalKind::hangup())?;
        drop(context);
        Ok(Self { runtime, interrupt, terminate, hangup })
    }

    /// Returns at SIGINT or SIGTERM; SIGHUP calls `reload`.
    fn wait(&mut self, reload: impl Fn()) {
        let Self { runtime, interrupt, terminate, hangup } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => return,
                    _ = terminate.recv() => return,
                    _ = hangup.recv() => reload(),
                }
            }
        });
    }
}
