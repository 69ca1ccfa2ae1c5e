//! `dunlin top`: clients or topics, groups and rates of the running broker on the whole screen.
//!
//! ```text
//!   watcher.rs (a thread: asks the broker) ── News ──> desk.rs (what is shown, what keys do) ──> screen.rs (draws it)
//!            ^                                              │
//!            └───────────────────── Wish ───────────────────┘
//! ```
//!
//! `figures.rs` makes rates and their history of what was counted, `metrics.rs` finds the metrics that are plotted, and
//! `order.rs` sorts clients, and `topics.rs` has the topics of the other page. The first look happens before the screen is
//! taken, so that an error is read where errors are.

mod watcher;
mod figures;
mod metrics;
mod order;
mod topics;
mod desk;
mod screen;
#[cfg(test)]
mod sample;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use desk::{Desk, Pressed};
use watcher::{News, View, Wish};

use super::Failure;
use super::place::BrokerArgs;

/// How long a key or news may wait to be noticed.
const TURN: Duration = Duration::from_millis(50);

/// The arguments of `dunlin top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys:\n  q      leave\n  t      topics with how often they are published, and back to clients\n  \
    s      sort by another column\n  /      search in client identifiers, user names and addresses, or in topics\n  \
    Esc    drop the search; without one, leave\n  \
    k      disconnect the selected client, after a question\n  arrows, PgUp, PgDn, Home, End  select\n\n\
    Example:\n  dunlin top\n  dunlin top --http https://broker.example:18083 --token-file token"
)]
pub struct TopArgs {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..=60))]
    interval: u16,
    #[command(flatten)]
    place: BrokerArgs,
}

impl TopArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(Failure::Arguments(
                "dunlin top needs a terminal; dunlin status --json and dunlin clients --json are for scripts"
                    .to_owned(),
            ));
        }
        let broker = self.place.find()?;
        watcher::look(&broker, &View::default())?;
        let desk = Desk::new(broker.url());
        let (wishes, news) = watcher::watch(broker, Duration::from_secs(self.interval.into()));
        let mut terminal = ratatui::try_init().map_err(Failure::Output)?;
        let shown = show(&mut terminal, desk, &wishes, &news);
        ratatui::restore();
        shown.map_err(Failure::Output)
    }
}

/// Until somebody leaves.
fn show(
    terminal: &mut DefaultTerminal,
    mut desk: Desk,
    wishes: &Sender<Wish>,
    news: &Receiver<News>,
) -> io::Result<()> {
    let mut is_stale = true;
    loop {
        while let Ok(news) = news.try_recv() {
            desk.hear(news);
            is_stale = true;
        }
        if is_stale {
            terminal.draw(|frame| screen::draw(frame, &desk))?;
        }
        is_stale = event::poll(TURN)?;
        if !is_stale {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match desk.press(key) {
            Pressed::Nothing => {}
            Pressed::Leave => return Ok(()),
            // The thread that takes them lasts as long as this loop.
            Pressed::Wish(wish) => drop(wishes.send(wish)),
        }
    }
}
