//! What `dunlin top` shows: rates, from what the broker counted between two looks, and their history.
//!
//! A client's counters are those of its connection, modulo 2^32, so a client that has connected anew starts from zero.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::metrics::Metrics;
use super::topics::Topics;
use crate::cli::remote::clients::Client;
use crate::cli::remote::groups::Group;
use crate::cli::remote::status::Status;

/// Values that a plot remembers: more than a wide terminal has columns.
const HISTORY_MAX: usize = 512;

/// Looks that are closer together give no rate: somebody has changed the view, and the broker gathers its metrics once a
/// second at most.
const APART_S_MIN: f64 = 0.5;

/// What the broker said at one time.
#[derive(Debug)]
pub struct Snapshot {
    pub at: Instant,
    pub status: Status,
    pub metrics: Metrics,
    /// In the order of their names.
    pub clients: Vec<Client>,
    /// How many there are that match the search.
    pub matched: u64,
    pub groups: Vec<Group>,
    /// Those of the page of topics, if that is looked at.
    pub topics: Option<Topics>,
}

/// One client with its rates.
#[derive(Debug)]
pub struct Row {
    pub client: Client,
    pub received_per_s: f64,
    pub sent_per_s: f64,
}

/// Why messages were dropped, how often so far, and how often now.
#[derive(Debug)]
pub struct Drops {
    pub reason: String,
    pub count: u64,
    pub per_s: f64,
}

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Figures {
    /// The look that the next rates are counted from.
    pub last: Option<Snapshot>,
    pub rows: Vec<Row>,
    pub received_per_s: History,
    pub sent_per_s: History,
    pub dropped_per_s: History,
    /// Of delivery, half of the messages and all but one in a hundred, in microseconds.
    pub latency_p50_us: History,
    pub latency_p99_us: History,
    /// Those with the highest rate first.
    pub drops: Vec<Drops>,
    /// How many clients match the search.
    pub matched: u64,
    /// The busiest topics, once they are counted; the broker makes the rates of these.
    pub topics: Option<Topics>,
}

/// The last values of something, the newest at the end.
#[derive(Debug, Default)]
pub struct History(VecDeque<u64>);

impl History {
    fn push(&mut self, value: f64) {
        if self.0.len() == HISTORY_MAX {
            self.0.pop_front();
        }
        self.0.push_back(value.round() as u64);
    }

    /// The newest.
    pub fn now(&self) -> u64 {
        self.0.back().copied().unwrap_or_default()
    }

    /// The newest values, as many as there is room for.
    pub fn last(&self, room: usize) -> Vec<u64> {
        self.0.iter().skip(self.0.len().saturating_sub(room)).copied().collect()
    }
}

impl Figures {
    /// Takes the next look in.
    pub fn take(&mut self, mut next: Snapshot) {
        self.matched = next.matched;
        self.topics = next.topics.take();
        let seconds = self.last.as_ref().map(|last| next.at.saturating_duration_since(last.at).as_secs_f64());
        match (self.last.take(), seconds) {
            (Some(last), Some(seconds)) if seconds >= APART_S_MIN => {
                self.plot(&last, &next, seconds);
                self.rows = rows(&next.clients, |client| rates(&last, client, seconds));
                self.last = Some(next);
            }
            (Some(last), _) => {
                let before = std::mem::take(&mut self.rows);
                self.rows = rows(&next.clients, |client| {
                    let row = before.iter().find(|row| row.client.client == client.client)?;
                    Some((row.received_per_s, row.sent_per_s))
                });
                self.last = Some(last);
            }
            (None, _) => {
                self.rows = rows(&next.clients, |_| None);
                self.last = Some(next);
            }
        }
    }

    fn plot(&mut self, last: &Snapshot, next: &Snapshot, seconds: f64) {
        let per_s = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let (new, old) = (&next.metrics, &last.metrics);
        self.received_per_s.push(per_s(new.received, old.received));
        self.sent_per_s.push(per_s(new.sent, old.sent));
        self.dropped_per_s.push(per_s(new.dropped(), old.dropped()));
        let latency = new.latency.since(&old.latency);
        self.latency_p50_us.push(latency.quantile_s(0.5) * 1e6);
        self.latency_p99_us.push(latency.quantile_s(0.99) * 1e6);
        let then: HashMap<_, _> = old.drops.iter().map(|(reason, count)| (reason, *count)).collect();
        let drops = new.drops.iter().map(|(reason, count)| Drops {
            reason: reason.clone(),
            count: *count,
            per_s: per_s(*count, then.get(reason).copied().unwrap_or_default()),
        });
        self.drops = drops.collect();
        self.drops.sort_by(|a, b| b.per_s.total_cmp(&a.per_s).then(b.count.cmp(&a.count)));
    }
}

fn rows(clients: &[Client], rates: impl Fn(&Client) -> Option<(f64, f64)>) -> Vec<Row> {
    let row = |client: &Client| {
        let (received_per_s, sent_per_s) = rates(client).unwrap_or_default();
        Row { client: client.clone(), received_per_s, sent_per_s }
    };
    clients.iter().map(row).collect()
}

/// Those of a client since the last look; none if it was not there, or connected anew.
fn rates(last: &Snapshot, client: &Client, seconds: f64) -> Option<(f64, f64)> {
    // Snapshots are in the order of the names.
    let index = last.clients.binary_search_by(|before| before.client.cmp(&client.client)).ok()?;
    let before = &last.clients[index];
    let per_s = |now: u64, then: u64| f64::from((now as u32).wrapping_sub(then as u32)) / seconds;
    (before.connected_at == client.connected_at).then(|| {
        (
            per_s(client.messages_received, before.messages_received),
            per_s(client.messages_sent, before.messages_sent),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::sample::snapshot;
    use super::*;

    #[test]
    fn rates_are_what_was_added_between_two_looks() {
        let start = Instant::now();
        let mut figures = Figures::default();
        figures.take(snapshot(start, u64::from(u32::MAX) - 9, 100));
        assert!(
            figures.rows.iter().all(|row| row.received_per_s == 0.0) && figures.received_per_s.0.is_empty()
        );
        // The counter of the client has begun again at zero meanwhile, as a number of 32 bits does.
        figures.take(snapshot(start + Duration::from_secs(2), 30, 300));
        assert_eq!(figures.rows[0].received_per_s, 20.0);
        assert_eq!((figures.received_per_s.now(), figures.received_per_s.last(9)), (100, vec![100]));
        // Another look at once is no reason to plot a zero.
        figures.take(snapshot(start + Duration::from_millis(2010), 30, 300));
        assert_eq!((figures.rows[0].received_per_s, figures.received_per_s.0.len()), (20.0, 1));
    }

    #[test]
    fn who_connects_anew_starts_from_zero() {
        let start = Instant::now();
        let mut figures = Figures::default();
        figures.take(snapshot(start, 50, 0));
        let mut next = snapshot(start + Duration::from_secs(2), 10, 0);
        next.clients[0].connected_at = Some("2026-11-28T11:00:00Z".to_owned());
        figures.take(next);
        assert_eq!(figures.rows[0].received_per_s, 0.0);
    }
}
