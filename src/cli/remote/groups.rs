//! `dunlin groups`: Shared Subscriptions as the work queues that they are.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::pages::{Listing, entries};
use super::table::{Column, Look, Table, Tone, cell};
use super::{Asking, Broker, Failure, print, print_list, text};
use crate::numbers::{grouped, size};

/// The arguments of `dunlin groups`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dunlin groups\n  dunlin groups --members")]
pub struct GroupsArgs {
    /// List the members of each, too
    #[arg(long)]
    members: bool,
    #[command(flatten)]
    asking: Asking,
}

/// A group, as far as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Group {
    pub name: String,
    pub queued_messages: u64,
    queued_bytes: u64,
    pub oldest_age_s: Option<u64>,
    pub lent_messages: u64,
    pub members_count: Option<u64>,
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Member {
    client: String,
    qos: u8,
    is_connected: bool,
    is_ready: bool,
    outstanding: u64,
}

impl GroupsArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = listing(usize::MAX).collect(&self.asking.place.find()?)?;
        if self.asking.json {
            return print(&format!("{}\n", Value::Object(answer)));
        }
        let groups: Vec<Group> = entries(&answer, "groups")?;
        let look = Look::of_output();
        match self.members {
            false => print_list(&table(&groups, look), "there is no shared group"),
            true => print_list(&members(&groups, look), "no shared group has a member"),
        }
    }
}

fn listing(limit: usize) -> Listing<'static> {
    Listing { path: "/api/v1/groups", member: "groups", parameters: &[], limit }
}

/// The first groups, as the broker has them.
pub(super) fn first(broker: &Broker, limit: usize) -> Result<Vec<Group>, Failure> {
    entries(&listing(limit).collect(broker)?, "groups")
}

impl Group {
    /// How many members there are; the API names a part of them only.
    pub fn size(&self) -> u64 {
        self.members_count.unwrap_or(self.members.len() as u64)
    }

    /// The age of what waits longest.
    pub fn oldest(&self) -> String {
        self.oldest_age_s.map_or_else(|| "-".to_owned(), text::duration)
    }
}

fn table(groups: &[Group], look: Look) -> String {
    let columns = [
        Column::Text("GROUP"),
        Column::Number("QUEUED"),
        Column::Number("BYTES"),
        Column::Number("OLDEST"),
        Column::Number("LENT"),
        Column::Number("MEMBERS"),
        Column::Number("READY"),
    ];
    let mut table = Table::new(columns, look);
    for group in groups {
        let ready = group.members.iter().filter(|member| member.is_ready).count();
        let tone = if ready == 0 && group.queued_messages > 0 { Tone::Bad } else { Tone::Plain };
        table.row([
            cell(text::shown(&group.name), Tone::Plain),
            cell(grouped(group.queued_messages), tone),
            cell(size(group.queued_bytes), Tone::Plain),
            cell(group.oldest(), Tone::Plain),
            cell(grouped(group.lent_messages), Tone::Plain),
            cell(grouped(group.size()), Tone::Plain),
            cell(grouped(ready as u64), tone),
        ]);
    }
    table.text()
}

fn members(groups: &[Group], look: Look) -> String {
    let columns = [
        Column::Text("GROUP"),
        Column::Text("CLIENT"),
        Column::Number("QOS"),
        Column::Word("STATE"),
        Column::Number("OUTSTANDING"),
    ];
    let mut table = Table::new(columns, look);
    for (group, member) in
        groups.iter().flat_map(|group| group.members.iter().map(move |member| (group, member)))
    {
        let state = match (member.is_connected, member.is_ready) {
            (false, _) => cell("away", Tone::Faint),
            (true, true) => cell("ready", Tone::Good),
            (true, false) => cell("busy", Tone::Plain),
        };
        table.row([
            cell(text::shown(&group.name), Tone::Plain),
            cell(text::shown(&member.client), Tone::Plain),
            cell(member.qos.to_string(), Tone::Plain),
            state,
            cell(grouped(member.outstanding), Tone::Plain),
        ]);
    }
    table.text()
}
