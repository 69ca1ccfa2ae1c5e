//! The access control list: which Client may publish to, receive from and subscribe to which topics.
//!
//! Rules come from a file in mosquitto's format (`acl_file.rs`) and mean what they mean there:
//!
//! 1. A Client with a user name has the `topic` rules of its `user` section; an anonymous Client has those
//!    that stand before the first `user` line. Nobody has both.
//! 2. Among these, `deny` rules are asked first, then those that grant. The first that matches decides.
//! 3. Only when none matched, the `pattern` rules are asked, again `deny` first. They apply to everyone; `%u`
//!    and `%c` stand for the Client's user name and Client Identifier. A pattern with `%u` passes an
//!    anonymous Client by.
//! 4. What nothing granted is refused.
//!
//! A name that contains `+`, `#` or `/`, or is empty, could make a pattern mean another topic than its own.
//! Such a name gets nothing from a pattern that mentions it, and a `deny` pattern that mentions it denies
//! everything.
//!
//! Where mosquitto 2 grants every subscription and only withholds the messages, we refuse a subscription that
//! could never receive anything, so that its owner learns it. One that overlaps a readable topic is granted,
//! and each message is judged when it is delivered. Two properties follow, and tests hold them: a topic that
//! a Client may receive is reachable by every filter that matches it, and for a filter without wildcards the
//! two rights are one.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::acl_file::{self, AclFileError};
use super::rule_tree::{Names, Right, RuleFilter, RuleId, RuleLevel, RuleTree};
use super::text_file;

/// The Client a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who<'a> {
    /// The Client Identifier, as sent or as assigned by the Server.
    pub client_identifier: &'a str,
    /// The user name that was proven; `None` for an anonymous Client.
    pub user_name: Option<&'a str>,
}

/// What a Client wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send a message to a topic, also as its Will.
    Publish,
    /// Be sent a message of a topic.
    Receive,
    /// Subscribe to a Topic Filter.
    Subscribe,
}

/// The rules of an ACL file. Deciding needs no lock and no allocation.
#[derive(Debug)]
pub struct Acl {
    path: PathBuf,
    /// Line number and text, by [`RuleId`].
    rules: Vec<(u32, Box<str>)>,
    anonymous: RuleTree,
    users: HashMap<Box<str>, RuleTree>,
    patterns: RuleTree,
    /// The `deny` patterns that mention a name, in the order of the file.
    denies_by_name: Vec<DenyByName>,
}

#[derive(Debug)]
struct DenyByName {
    rule: RuleId,
    mentions_user_name: bool,
    mentions_client_identifier: bool,
}

/// Where a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section<'a> {
    Anonymous,
    User(&'a str),
    Patterns,
}

/// A decision and its reason. `Display` says it in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// Whether the Client may.
    pub allowed: bool,
    /// What decided.
    pub cause: Cause<'a>,
    path: &'a Path,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A rule of the file.
    Rule {
        /// Its line, counted from 1.
        line: u32,
        /// Its text.
        text: &'a str,
    },
    /// A `deny` pattern that mentions a name of this Client which no pattern can stand for, since it is empty
    /// or contains `+`, `#` or `/`.
    UnsafeName {
        /// The line of the pattern, counted from 1.
        line: u32,
        /// The pattern.
        text: &'a str,
    },
    /// Only the Server publishes to `$SYS`; the state of a bridge connection is the exception, where a rule
    /// grants it.
    SystemTopicIsReadOnly,
    /// No rule grants it.
    NoRule,
}

impl Acl {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or any of its lines is not a rule.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AclFileError> {
        let path = path.as_ref();
        let (bytes, _) = text_file::read(path)?;
        Self::parse(&bytes, path)
    }

    /// Understands `bytes` as the content of an ACL file; `path` is for error messages and explanations.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self, AclFileError> {
        let path = path.as_ref();
        let mut acl = Self {
            path: path.to_owned(),
            rules: Vec::new(),
            anonymous: RuleTree::default(),
            users: HashMap::new(),
            patterns: RuleTree::default(),
            denies_by_name: Vec::new(),
        };
        acl_file::parse(&mut acl, path, bytes)?;
        Ok(acl)
    }

    /// Whether the Client may send a message to this Topic Name.
    pub fn may_publish(&self, who: &Who<'_>, topic_name: &str) -> bool {
        self.explain(who, Action::Publish, topic_name).allowed
    }

    /// Whether the Client may be sent a message of this Topic Name.
    pub fn may_receive(&self, who: &Who<'_>, topic_name: &str) -> bool {
        self.explain(who, Action::Receive, topic_name).allowed
    }

    /// Whether the Client may subscribe to this Topic Filter. A Shared Subscription (`$share/NAME/FILTER`) is
    /// judged as the filter beneath it.
    pub fn may_subscribe(&self, who: &Who<'_>, topic_filter: &str) -> bool {
        self.explain(who, Action::Subscribe, topic_filter).allowed
    }

    /// The decision together with the line that made it. `topic` is a Topic Name, or for
    /// [`Action::Subscribe`] a Topic Filter.
    pub fn explain(&self, who: &Who<'_>, action: Action, topic: &str) -> Explanation<'_> {
        let (allowed, cause) = self.decide(who, action, topic);
        Explanation { allowed, cause, path: &self.path }
    }

    /// The file these rules came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Enters the next rule of the file.
    pub(super) fn push(
        &mut self,
        section: Section<'_>,
        filter: &RuleFilter<'_>,
        rights: &[Right],
        line: u32,
        text: &str,
    ) {
        let rule = RuleId(self.rules.len() as u32);
        self.rules.push((line, text.into()));
        let tree = match section {
            Section::Anonymous => &mut self.anonymous,
            Section::User(user_name) => self.users.entry(user_name.into()).or_default(),
            Section::Patterns => &mut self.patterns,
        };
        for right in rights {
            tree.insert(filter, *right, rule);
        }
        let mentions_user_name = filter.levels.contains(&RuleLevel::UserName);
        let mentions_client_identifier = filter.levels.contains(&RuleLevel::ClientIdentifier);
        if rights.contains(&Right::Deny) && (mentions_user_name || mentions_client_identifier) {
            self.denies_by_name.push(DenyByName { rule, mentions_user_name, mentions_client_identifier });
        }
    }

    fn decide(&self, who: &Who<'_>, action: Action, topic: &str) -> (bool, Cause<'_>) {
        if action == Action::Publish && is_read_only(topic) {
            return (false, Cause::SystemTopicIsReadOnly);
        }
        let topic = if action == Action::Subscribe { beneath_share(topic) } else { topic };
        let section = match who.user_name {
            Some(user_name) => self.users.get(user_name),
            None => Some(&self.anonymous),
        };
        if let Some(decision) = section.and_then(|section| self.ask(section, action, topic, Names::default()))
        {
            return decision;
        }
        if let Some(rule) = self.deny_of_unsafe_name(who) {
            let (line, text) = self.rule(rule);
            return (false, Cause::UnsafeName { line, text });
        }
        let names = Names {
            user_name: who.user_name.filter(|name| is_safe_name(name)),
            client_identifier: Some(who.client_identifier).filter(|name| is_safe_name(name)),
        };
        self.ask(&self.patterns, action, topic, names).unwrap_or((false, Cause::NoRule))
    }

    /// What one section says, if it says anything.
    fn ask(
        &self,
        section: &RuleTree,
        action: Action,
        topic: &str,
        names: Names<'_>,
    ) -> Option<(bool, Cause<'_>)> {
        let decision = match section.covering(topic, names, Right::Deny) {
            Some(rule) => (false, rule),
            None => {
                let granting = match action {
                    Action::Publish => section.covering(topic, names, Right::Write),
                    Action::Receive => section.covering(topic, names, Right::Read),
                    Action::Subscribe => section.overlapping(topic, names, Right::Read),
                };
                (true, granting?)
            }
        };
        let (allowed, rule) = decision;
        let (line, text) = self.rule(rule);
        Some((allowed, Cause::Rule { line, text }))
    }

    fn deny_of_unsafe_name(&self, who: &Who<'_>) -> Option<RuleId> {
        let user_name_is_unsafe = who.user_name.is_some_and(|name| !is_safe_name(name));
        let client_identifier_is_unsafe = !is_safe_name(who.client_identifier);
        let deny = self.denies_by_name.iter().find(|deny| {
            let concerns_client = who.user_name.is_some() || !deny.mentions_user_name;
            concerns_client
                && (deny.mentions_user_name && user_name_is_unsafe
                    || deny.mentions_client_identifier && client_identifier_is_unsafe)
        });
        deny.map(|deny| deny.rule)
    }

    fn rule(&self, rule: RuleId) -> (u32, &str) {
        let (line, text) = &self.rules[rule.0 as usize];
        (*line, text)
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let verb = if self.allowed { "allowed" } else { "denied" };
        match self.cause {
            Cause::Rule { line, text } => write!(f, "{verb} by {path}:{line}: {text}"),
            Cause::UnsafeName { line, text } => write!(
                f,
                "{verb} by {path}:{line}: {text} (the name it mentions is empty or contains `+`, `#` or `/`)"
            ),
            Cause::SystemTopicIsReadOnly => write!(f, "{verb}: only the server publishes to $SYS"),
            Cause::NoRule => write!(f, "{verb}: no rule in {path} grants it"),
        }
    }
}

/// Whether a placeholder may stand for this name: then it is one level, and equal to nothing but itself.
fn is_safe_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['+', '#', '/'])
}

fn beneath_share(topic_filter: &str) -> &str {
    let beneath = topic_filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    beneath.map_or(topic_filter, |(_share_name, topic_filter)| topic_filter)
}

/// Whether Clients never publish here. Bridges of mosquitto announce themselves at
/// `$SYS/broker/connection/NAME/state`; for that, a rule decides.
fn is_read_only(topic_name: &str) -> bool {
    let Some(rest) = topic_name.strip_prefix("$SYS") else {
        return false;
    };
    let bridge = rest.strip_prefix("/broker/connection/").and_then(|rest| rest.strip_suffix("/state"));
    let is_bridge_state = bridge.is_some_and(|name| !name.contains('/'));
    (rest.is_empty() || rest.starts_with('/')) && !is_bridge_state
}
