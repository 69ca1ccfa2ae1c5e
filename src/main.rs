//! The program `dunlin`.

use clap::Parser;
use dunlin::broker::{Broker, InheritedSockets, Reloader, StartError, WATCH_INTERVAL};
use dunlin::cli::{self, Cli, Command};
use dunlin::config::Sources;
use dunlin::core_dumps;
use dunlin::log;
use dunlin::operations::Wishes;
use dunlin::service_manager;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

fn main() -> ExitCode {
    match Cli::parse_from(cli::arguments()).command() {
        Command::Serve(arguments) => serve(&arguments.sources()),
        Command::Check(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Pub(command) => command.run(),
        Command::Sub(command) => command.run(),
        Command::Passwd(command) => {
            // It has a password in memory, and nothing to lose by going on.
            let _ = core_dumps::forbid();
            command.run()
        }
        Command::Acl(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Remote(command) => command.run(),
        Command::Bench(arguments) => cli::bench(arguments),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

fn serve(sources: &Sources) -> ExitCode {
    // First of all, because it changes the environment, and that is only sound while there is one thread.
    let sockets = match InheritedSockets::from_environment() {
        Ok(sockets) => sockets,
        Err(problem) => {
            eprintln!("dunlin: {problem}");
            return ExitCode::FAILURE;
        }
    };
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
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    service_manager::starting();
    let broker = match Broker::start_on(config, sockets) {
        Ok(broker) => broker,
        Err(StartError::Config(errors)) => return cli::bad_configuration(&errors),
        Err(error) => {
            eprintln!("dunlin: {error}");
            return ExitCode::FAILURE;
        }
    };
    announce(&broker, scheme, &advice);
    let ready = |is_reloaded: bool| {
        service_manager::ready(&service_manager::serving(broker.listeners().len(), is_reloaded));
    };
    ready(true);
    let watch = broker.pulse().and_then(service_manager::watch);
    signals.wait(broker.operations().wishes(), &broker.reloader(sources.clone(), log), ready);
    tracing::info!("stopping");
    service_manager::stopping(watch);
    broker.stop();
    ExitCode::SUCCESS
}

fn announce(broker: &Broker, scheme: &str, advice: &[String]) {
    for listener in broker.listeners() {
        listener.announce();
    }
    if let Some(address) = broker.http_address() {
        tracing::info!("operations port: {scheme}://{address}/healthz");
    }
    for line in advice {
        tracing::info!("{line}");
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

    /// Returns at SIGINT or SIGTERM. Until then, SIGHUP, files that change and the wishes of operators reload the broker.
    /// `ended` hears of each reload whether it was one.
    fn wait(&mut self, mut wishes: Wishes, reloader: &Reloader, ended: impl Fn(bool)) {
        let Self { runtime, interrupt, terminate, hangup } = self;
        runtime.block_on(async {
            let mut looks = interval(WATCH_INTERVAL);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = interrupt.recv() => return,
                    _ = terminate.recv() => return,
                    _ = hangup.recv() => {
                        service_manager::reloading();
                        // What is wrong with it has been logged.
                        ended(reloader.reload().is_ok());
                    }
                    _ = looks.tick() => reloader.look(),
                    Some(wish) = wishes.recv() => {
                        service_manager::reloading();
                        let outcome = reloader.reread(wish.reread);
                        ended(outcome.is_ok());
                        wish.answer(outcome);
                    }
                }
            }
        });
    }
}
