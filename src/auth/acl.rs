//! The access control list: which Client may publish to, receive from and subscribe to which topics.
//!
//! Rules belong to roles (`role.rs`) and come from a file in mosquitto's format (`acl_file.rs`), where they mean
//! what they mean there, or in TOML (`acl_toml.rs`):
//!
//! 1. A Client with a user name has the roles of that user (in mosquitto's format the `topic` rules of its `user`
//!    section); an anonymous Client has those of `[anonymous]` (that stand before the first `user` line). Nobody
//!    has both.
//! 2. Among these, `deny` rules are asked first, then those that grant, each within the limits of its role. The
//!    first that matches decides.
//! 3. Only when none matched, the rules for everyone are asked (the `pattern` rules), again `deny` first. `%u`
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
use super::acl_toml;
use super::grants::{self, GrantsProblem};
use super::role::{Role, RoleLimits, RoleText};
use super::rule_tree::{Names, Right, RuleFilter, RuleId, RuleLevel};
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
enum Action {
    /// Send a message to a topic, also as its Will.
    Publish,
    /// Be sent a message of a topic.
    Receive,
    /// Subscribe to a Topic Filter.
    Subscribe,
}

/// What is asked: an action, a topic, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    action: Action,
    /// A Topic Name, or for a subscription a Topic Filter.
    topic: &'a str,
    share_name: Option<&'a str>,
    qos: u8,
    retain: bool,
}

impl<'a> Question<'a> {
    /// May a message of QoS 0 be published to this Topic Name?
    pub fn publish(topic_name: &'a str) -> Self {
        Self { action: Action::Publish, topic: topic_name, share_name: None, qos: 0, retain: false }
    }

    /// May a message of this Topic Name be received?
    pub fn receive(topic_name: &'a str) -> Self {
        Self { action: Action::Receive, ..Self::publish(topic_name) }
    }

    /// May this Topic Filter be subscribed to? A Shared Subscription (`$share/NAME/FILTER`) is judged as the
    /// filter beneath it, and by its name.
    pub fn subscribe(topic_filter: &'a str) -> Self {
        let beneath = topic_filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        let (share_name, topic) =
            beneath.map_or((None, topic_filter), |(share_name, filter)| (Some(share_name), filter));
        Self { action: Action::Subscribe, share_name, ..Self::publish(topic) }
    }

    /// The same as a member of a Shared Subscription of this name, which the filter does not say.
    #[must_use]
    pub fn shared_as(self, share_name: Option<&'a str>) -> Self {
        Self { share_name, ..self }
    }

    /// The same at this QoS.
    #[must_use]
    pub fn at_qos(self, qos: u8) -> Self {
        Self { qos, ..self }
    }

    /// The same with RETAIN set or not.
    #[must_use]
    pub fn retained(self, retain: bool) -> Self {
        Self { retain, ..self }
    }
}

/// The rules of an ACL file. Deciding needs no lock and no allocation.
#[derive(Debug)]
pub struct Acl {
    path: PathBuf,
    /// Line number and text, by [`RuleId`].
    rules: Vec<(u32, Box<str>)>,
    roles: Vec<Role>,
    anonymous: Vec<RoleId>,
    users: HashMap<Box<str>, Vec<RoleId>>,
    everyone: Vec<RoleId>,
    /// The `deny` rules that mention a name, in the order of the file.
    denies_by_name: Vec<DenyByName>,
}

/// A role, numbered in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoleId(usize);

#[derive(Debug)]
struct DenyByName {
    rule: RuleId,
    role: RoleId,
    mentions_user_name: bool,
    mentions_client_identifier: bool,
}

/// Whose a role is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section<'a> {
    Anonymous,
    User(&'a str),
    Everyone,
}

/// A decision and its reason. `Display` says it in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// Whether the Client may.
    pub allowed: bool,
    /// What decided.
    pub cause: Cause<'a>,
    /// The highest QoS that a granted subscription may have.
    pub maximum_qos: u8,
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
    /// A rule grants the topic, but its role not what is wanted there.
    BeyondLimit {
        /// The line of the rule, counted from 1.
        line: u32,
        /// Its text.
        text: &'a str,
        /// What the role does not grant.
        limit: &'static str,
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

    /// Understands `bytes` as the content of an ACL file, in TOML if the path ends in `.toml`, else in mosquitto's
    /// format; `path` is also for error messages and explanations.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self, AclFileError> {
        let path = path.as_ref();
        let mut acl = Self::empty(path);
        if path.extension().is_some_and(|extension| extension == "toml") {
            acl_toml::parse(&mut acl, path, bytes)?;
        } else {
            acl_file::parse(&mut acl, path, bytes)?;
        }
        Ok(acl)
    }

    /// The rules of a Client whose rights came with its credentials, from the text of its
    /// [`Grants`](super::Grants).
    ///
    /// # Errors
    /// As [`Grants::parse`](super::Grants::parse).
    pub fn of_grants(json: &str) -> Result<Self, GrantsProblem> {
        let text = grants::role(json)?;
        if !text.roles.is_empty() {
            return Err(GrantsProblem::Value("roles must not be there: no file says what they are"));
        }
        let mut acl = Self::empty(Path::new("the rights that came with the credentials"));
        let role = acl.add_role(text.limits().map_err(GrantsProblem::Value)?);
        acl.give(Section::Everyone, role);
        acl.push_role(role, &text, |filter| (1, filter))
            .map_err(|(_, problem)| GrantsProblem::Filter(problem))?;
        Ok(acl)
    }

    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            rules: Vec::new(),
            roles: Vec::new(),
            anonymous: Vec::new(),
            users: HashMap::new(),
            everyone: Vec::new(),
            denies_by_name: Vec::new(),
        }
    }

    /// Whether the Client may send a message of QoS 0 to this Topic Name.
    pub fn may_publish(&self, who: &Who<'_>, topic_name: &str) -> bool {
        self.explain(who, Question::publish(topic_name)).allowed
    }

    /// Whether the Client may be sent a message of this Topic Name.
    pub fn may_receive(&self, who: &Who<'_>, topic_name: &str) -> bool {
        self.explain(who, Question::receive(topic_name)).allowed
    }

    /// Whether the Client may subscribe to this Topic Filter, at QoS 0 at least.
    pub fn may_subscribe(&self, who: &Who<'_>, topic_filter: &str) -> bool {
        self.explain(who, Question::subscribe(topic_filter)).allowed
    }

    /// The decision together with the line that made it.
    pub fn explain(&self, who: &Who<'_>, question: Question<'_>) -> Explanation<'_> {
        let (allowed, cause, maximum_qos) = match self.decide(who, question) {
            Ok((rule, maximum_qos)) => {
                let (line, text) = self.rule(rule);
                (true, Cause::Rule { line, text }, maximum_qos)
            }
            Err(cause) => (false, cause, 0),
        };
        Explanation { allowed, cause, maximum_qos, path: &self.path }
    }

    /// The file these rules came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Adds a role that nobody has yet.
    pub(super) fn add_role(&mut self, limits: RoleLimits) -> RoleId {
        self.roles.push(Role { limits, ..Role::default() });
        RoleId(self.roles.len() - 1)
    }

    /// Gives a role to somebody.
    pub(super) fn give(&mut self, section: Section<'_>, role: RoleId) {
        let roles = match section {
            Section::Anonymous => &mut self.anonymous,
            Section::User(user_name) => self.users.entry(user_name.into()).or_default(),
            Section::Everyone => &mut self.everyone,
        };
        if !roles.contains(&role) {
            roles.push(role);
        }
    }

    /// Makes a user known who has no role yet.
    pub(super) fn add_user(&mut self, user_name: &str) {
        self.users.entry(user_name.into()).or_default();
    }

    /// The one role of a section of mosquitto's format.
    pub(super) fn own_role(&mut self, section: Section<'_>) -> RoleId {
        let roles = match section {
            Section::Anonymous => Some(&self.anonymous),
            Section::User(user_name) => self.users.get(user_name),
            Section::Everyone => Some(&self.everyone),
        };
        if let Some(role) = roles.and_then(|roles| roles.first()) {
            return *role;
        }
        let role = self.add_role(RoleLimits::default());
        self.give(section, role);
        role
    }

    /// Enters the rules of a role; `place` gives the line and the text of a filter. The error has the filter that
    /// cannot be used.
    pub(super) fn push_role<'t, T>(
        &mut self,
        role: RoleId,
        text: &'t RoleText<T>,
        place: impl Fn(&'t T) -> (u32, &'t str),
    ) -> Result<(), (&'t T, acl_file::AclFileProblem)> {
        let lists = [
            ("publish", &text.publish[..], &[Right::Write][..]),
            ("subscribe", &text.subscribe[..], &[Right::Read][..]),
            ("deny", &text.deny[..], &[Right::Deny][..]),
        ];
        for (key, filters, rights) in lists {
            for filter in filters {
                let (line, topic_filter) = place(filter);
                let parsed = acl_file::parse_filter(Section::Everyone, topic_filter)
                    .map_err(|problem| (filter, problem))?;
                self.push(role, &parsed, rights, line, &format!("{key} = {topic_filter:?}"));
            }
        }
        if let Some(namespace) = &text.namespace {
            let (line, topic) = place(namespace);
            if topic.is_empty() {
                return Err((namespace, acl_file::AclFileProblem::EmptyFilter));
            }
            let beneath = format!("{topic}/#");
            let parsed = acl_file::parse_filter(Section::Everyone, &beneath)
                .map_err(|problem| (namespace, problem))?;
            self.push(role, &parsed, &[Right::Read, Right::Write], line, &format!("namespace = {topic:?}"));
        }
        Ok(())
    }

    /// Enters the next rule of the file.
    pub(super) fn push(
        &mut self,
        role: RoleId,
        filter: &RuleFilter<'_>,
        rights: &[Right],
        line: u32,
        text: &str,
    ) {
        let rule = RuleId(self.rules.len() as u32);
        self.rules.push((line, text.into()));
        for right in rights {
            self.roles[role.0].tree.insert(filter, *right, rule);
        }
        let mentions_user_name = filter.levels.contains(&RuleLevel::UserName);
        let mentions_client_identifier = filter.levels.contains(&RuleLevel::ClientIdentifier);
        if rights.contains(&Right::Deny) && (mentions_user_name || mentions_client_identifier) {
            self.denies_by_name.push(DenyByName {
                rule,
                role,
                mentions_user_name,
                mentions_client_identifier,
            });
        }
    }

    /// The rule that grants it and the highest QoS it grants, or why it is denied.
    fn decide(&self, who: &Who<'_>, question: Question<'_>) -> Result<(RuleId, u8), Cause<'_>> {
        if question.action == Action::Publish && is_read_only(question.topic) {
            return Err(Cause::SystemTopicIsReadOnly);
        }
        let own = match who.user_name {
            Some(user_name) => self.users.get(user_name).map_or(&[][..], Vec::as_slice),
            None => &self.anonymous,
        };
        let names = Names {
            user_name: who.user_name.filter(|name| is_safe_name(name)),
            client_identifier: Some(who.client_identifier).filter(|name| is_safe_name(name)),
        };
        let mut beyond_limit = None;
        for roles in [own, &self.everyone] {
            if let Some(denied) = self.denied(who, roles, question.topic, names) {
                return Err(denied);
            }
            if let Some(granted) = self.granted(roles, question, names, &mut beyond_limit) {
                return Ok(granted);
            }
        }
        Err(beyond_limit.unwrap_or(Cause::NoRule))
    }

    /// Why these roles deny the topic, if they do.
    fn denied(&self, who: &Who<'_>, roles: &[RoleId], topic: &str, names: Names<'_>) -> Option<Cause<'_>> {
        let trees = roles.iter().map(|role| &self.roles[role.0].tree);
        if let Some(rule) = trees.filter_map(|tree| tree.covering(topic, names, Right::Deny)).min() {
            let (line, text) = self.rule(rule);
            return Some(Cause::Rule { line, text });
        }
        let (line, text) = self.rule(self.deny_of_unsafe_name(who, roles)?);
        Some(Cause::UnsafeName { line, text })
    }

    /// The first rule of these roles that grants what is asked, and the highest QoS that any of them grants.
    fn granted<'a>(
        &'a self,
        roles: &[RoleId],
        question: Question<'_>,
        names: Names<'_>,
        beyond_limit: &mut Option<Cause<'a>>,
    ) -> Option<(RuleId, u8)> {
        let mut granted: Option<(RuleId, u8)> = None;
        for role in roles {
            let Role { tree, limits } = &self.roles[role.0];
            let rule = match question.action {
                Action::Publish => tree.covering(question.topic, names, Right::Write),
                Action::Receive => tree.covering(question.topic, names, Right::Read),
                Action::Subscribe => tree.overlapping(question.topic, names, Right::Read),
            };
            let Some(rule) = rule else { continue };
            if let Some(limit) = beyond(limits, question) {
                let (line, text) = self.rule(rule);
                beyond_limit.get_or_insert(Cause::BeyondLimit { line, text, limit });
                continue;
            }
            granted = Some(granted.map_or((rule, limits.maximum_qos), |(first, maximum_qos)| {
                (first.min(rule), maximum_qos.max(limits.maximum_qos))
            }));
        }
        granted
    }

    fn deny_of_unsafe_name(&self, who: &Who<'_>, roles: &[RoleId]) -> Option<RuleId> {
        let user_name_is_unsafe = who.user_name.is_some_and(|name| !is_safe_name(name));
        let client_identifier_is_unsafe = !is_safe_name(who.client_identifier);
        let deny = self.denies_by_name.iter().find(|deny| {
            let concerns_client = who.user_name.is_some() || !deny.mentions_user_name;
            roles.contains(&deny.role)
                && concerns_client
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

/// What of a question a role does not grant, if so.
fn beyond(limits: &RoleLimits, question: Question<'_>) -> Option<&'static str> {
    match question.action {
        Action::Publish if question.retain && !limits.retain => Some("allows no RETAIN"),
        Action::Publish if question.qos > limits.maximum_qos => Some("allows no such QoS"),
        Action::Subscribe => {
            let names = limits.share_names.as_ref()?;
            let share_name = question.share_name?;
            (!names.iter().any(|name| **name == *share_name))
                .then_some("has no part in this Shared Subscription")
        }
        _ => None,
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
            Cause::BeyondLimit { line, text, limit } => {
                write!(f, "{verb} by {path}:{line}: {text}: the role {limit}")
            }
            Cause::SystemTopicIsReadOnly => write!(f, "{verb}: only the server publishes to $SYS"),
            Cause::NoRule => write!(f, "{verb}: no rule in {path} grants it"),
        }
    }
}

/// Whether a placeholder may stand for this name: then it is one level, and equal to nothing but itself.
fn is_safe_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['+', '#', '/'])
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
