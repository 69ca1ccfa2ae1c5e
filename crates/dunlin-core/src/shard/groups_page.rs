//! Shared groups as queues: how much waits, since when, and which member has what.
//!
//! Members live on any shard and are named by key here; whoever shows them asks the member's shard
//! ([`Shard::client_at`]). Pure reads, as in `observe.rs`.

use super::Shard;
use crate::group::{Group, Member};
use crate::time::Timestamp;
use std::sync::Arc;

/// A shared group.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// The whole filter, `$share/...` included.
    pub name: Arc<str>,
    /// Messages that wait for a member.
    pub queued_messages: usize,
    /// Their topics, properties and payloads.
    pub queued_bytes: usize,
    /// When the first of them came, unless it is in the store alone.
    pub oldest_at: Option<Timestamp>,
    /// Messages that members have and have not finished.
    pub lent_messages: usize,
    /// How many members there are.
    pub members_count: usize,
    /// The first of them.
    pub members: Vec<Member>,
}

/// Some of the groups of a shard.
#[derive(Clone, Debug)]
pub struct GroupsPage {
    /// In the order of the table.
    pub groups: Vec<GroupView>,
    /// Where to go on; none if there is no more.
    pub next: Option<u32>,
}

impl Shard {
    /// At most `most` groups from a place in the table on, each with at most `members_max` of its members. The page
    /// ends after `budget` places, too.
    pub fn groups_page(&self, from: u32, budget: u32, most: usize, members_max: usize) -> GroupsPage {
        let end = self.groups.end_index();
        let until = from.saturating_add(budget).min(end);
        let mut groups = Vec::new();
        for index in from..until {
            if groups.len() == most {
                return GroupsPage { groups, next: Some(index) };
            }
            groups.extend(self.groups.at(index).map(|group| view_of(group, members_max)));
        }
        GroupsPage { groups, next: (until < end).then_some(until) }
    }

    /// Shared groups of this shard.
    pub fn groups_count(&self) -> usize {
        self.groups.len()
    }

    /// Messages that wait for a member of a shared group of this shard, and what their bodies take.
    pub fn queued_in_groups(&self) -> (usize, usize) {
        self.groups.iter().fold((0, 0), |(messages, bytes), (_, group)| {
            (messages + group.queue().len(), bytes + group.queue().bytes())
        })
    }
}

fn view_of(group: &Group, members_max: usize) -> GroupView {
    let front = group.queue().iter().next().and_then(|(_, _, message)| message);
    let outstanding = group.members().iter().map(|member| member.outstanding as usize).sum();
    GroupView {
        name: Arc::clone(&group.name),
        queued_messages: group.queue().len(),
        queued_bytes: group.queue().bytes(),
        oldest_at: front.map(|message| message.id.received_at),
        lent_messages: group.lent().max(outstanding),
        members_count: group.members().len(),
        members: group.members().iter().take(members_max).cloned().collect(),
    }
}
