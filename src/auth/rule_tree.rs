//! The rules of one section of an ACL, arranged by topic level so that a decision does not read them all.
//!
//! A tree of levels: each node has a child per literal level, one for `+`, and one for each placeholder of a
//! pattern (`%u`, `%c`), which stands for a level equal to the Client's own name. Rules sit where their
//! filter ends, or, when it ends in `#`, where the `#` begins; the first of a kind in the file stays, since
//! it is the one that decides. A decision visits a node at most once.
//!
//! Two questions are asked of the tree, both with a Topic Filter (a Topic Name is one without wildcards):
//! [`covering`](RuleTree::covering), which rules match *every* topic of the filter, and
//! [`overlapping`](RuleTree::overlapping), which match *some* topic of it. For a Topic Name they are the
//! same.
//!
//! Filters that begin with `$` live under a root of their own: no wildcard and no placeholder crosses over
//! (section 4.7.2 of MQTT 5.0), so a Client that calls itself `$SYS` gains nothing.

use std::collections::HashMap;

/// A rule of the file, numbered in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleId(pub(super) u32);

/// One right that a rule takes or gives; a `readwrite` rule is entered under two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Deny,
    Read,
    Write,
}

/// A level of a rule's filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleLevel<'a> {
    Literal(&'a str),
    SingleLevelWildcard,
    UserName,
    ClientIdentifier,
}

/// A rule's filter, level by level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleFilter<'a> {
    pub(super) levels: Vec<RuleLevel<'a>>,
    /// Whether `#` follows the levels.
    pub(super) is_open_ended: bool,
}

/// The names that placeholders stand for; `None` makes a placeholder match nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'a> {
    pub(super) user_name: Option<&'a str>,
    pub(super) client_identifier: Option<&'a str>,
}

#[derive(Debug, Default)]
pub(super) struct RuleTree {
    root: Node,
    /// Holds the filters whose first character is `$`.
    system_root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    single_level_wildcard: Option<Box<Node>>,
    user_name: Option<Box<Node>>,
    client_identifier: Option<Box<Node>>,
    /// Rules whose filter ends here.
    ending: FirstRules,
    /// Rules whose filter continues with `#` here; it also stands for no further level.
    open_ended: FirstRules,
}

/// The first rule in the file for each right.
#[derive(Debug, Default)]
struct FirstRules {
    deny: Option<RuleId>,
    read: Option<RuleId>,
    write: Option<RuleId>,
}

impl RuleTree {
    /// Enters a rule. Rules come in the order of their ids.
    pub(super) fn insert(&mut self, filter: &RuleFilter<'_>, right: Right, rule: RuleId) {
        let starts_with_dollar =
            matches!(filter.levels.first(), Some(RuleLevel::Literal(level)) if level.starts_with('$'));
        let mut node = if starts_with_dollar { &mut self.system_root } else { &mut self.root };
        for level in &filter.levels {
            node = match level {
                RuleLevel::Literal(level) => node.literals.entry((*level).into()).or_default(),
                RuleLevel::SingleLevelWildcard => node.single_level_wildcard.get_or_insert_default(),
                RuleLevel::UserName => node.user_name.get_or_insert_default(),
                RuleLevel::ClientIdentifier => node.client_identifier.get_or_insert_default(),
            };
        }
        let rules = if filter.is_open_ended { &mut node.open_ended } else { &mut node.ending };
        rules.slot(right).get_or_insert(rule);
    }

    /// The first rule with this right that matches every topic that `topic_filter` matches. Among filters
    /// with wildcards it finds those that do so level by level, which is all that a sensible file contains.
    pub(super) fn covering(&self, topic_filter: &str, names: Names<'_>, right: Right) -> Option<RuleId> {
        let mut first = First::new(right);
        self.root_for(topic_filter).covering(Some(topic_filter), names, &mut first);
        first.rule
    }

    /// The first rule with this right that matches some topic that `topic_filter` matches.
    pub(super) fn overlapping(&self, topic_filter: &str, names: Names<'_>, right: Right) -> Option<RuleId> {
        let mut first = First::new(right);
        self.root_for(topic_filter).overlapping(Some(topic_filter), names, &mut first);
        first.rule
    }

    fn root_for(&self, topic_filter: &str) -> &Node {
        if topic_filter.starts_with('$') { &self.system_root } else { &self.root }
    }
}

impl Node {
    /// `rest` is what follows of the filter; `None` at its end.
    fn covering(&self, rest: Option<&str>, names: Names<'_>, first: &mut First) {
        first.consider(&self.open_ended);
        let Some(rest) = rest else {
            first.consider(&self.ending);
            return;
        };
        let (level, rest) = split_level(rest);
        if level == "#" {
            return;
        }
        if let Some(child) = &self.single_level_wildcard {
            child.covering(rest, names, first);
        }
        // No child is named `+`: neither a literal nor a safe name contains it.
        for child in self.children_named(level, names) {
            child.covering(rest, names, first);
        }
    }

    fn overlapping(&self, rest: Option<&str>, names: Names<'_>, first: &mut First) {
        first.consider(&self.open_ended);
        let Some(rest) = rest else {
            first.consider(&self.ending);
            return;
        };
        let (level, rest) = split_level(rest);
        match level {
            "#" => self.subtree(names, first),
            "+" => self.children(names).for_each(|child| child.overlapping(rest, names, first)),
            _ => {
                let children = self.children_named(level, names).chain(self.single_level_wildcard.as_deref());
                children.for_each(|child| child.overlapping(rest, names, first));
            }
        }
    }

    /// Every rule from here down, as `#` reaches them: it also stands for no further level.
    fn subtree(&self, names: Names<'_>, first: &mut First) {
        first.consider(&self.ending);
        first.consider(&self.open_ended);
        self.children(names).for_each(|child| child.subtree(names, first));
    }

    /// The children, but for the `+`, that a level of this name leads to.
    fn children_named(&self, level: &str, names: Names<'_>) -> impl Iterator<Item = &Node> {
        let user_name = self.user_name.as_deref().filter(|_| names.user_name == Some(level));
        let client_identifier =
            self.client_identifier.as_deref().filter(|_| names.client_identifier == Some(level));
        self.literals.get(level).into_iter().chain(user_name).chain(client_identifier)
    }

    /// The children that some level leads to.
    fn children(&self, names: Names<'_>) -> impl Iterator<Item = &Node> {
        let user_name = self.user_name.as_deref().filter(|_| names.user_name.is_some());
        let client_identifier =
            self.client_identifier.as_deref().filter(|_| names.client_identifier.is_some());
        let wildcard = self.single_level_wildcard.as_deref();
        self.literals.values().chain(wildcard).chain(user_name).chain(client_identifier)
    }
}

impl FirstRules {
    fn slot(&mut self, right: Right) -> &mut Option<RuleId> {
        match right {
            Right::Deny => &mut self.deny,
            Right::Read => &mut self.read,
            Right::Write => &mut self.write,
        }
    }

    fn get(&self, right: Right) -> Option<RuleId> {
        match right {
            Right::Deny => self.deny,
            Right::Read => self.read,
            Right::Write => self.write,
        }
    }
}

/// The first rule in the file among those that a walk meets.
struct First {
    right: Right,
    rule: Option<RuleId>,
}

impl First {
    fn new(right: Right) -> Self {
        Self { right, rule: None }
    }

    fn consider(&mut self, rules: &FirstRules) {
        if let Some(rule) = rules.get(self.right) {
            self.rule = Some(self.rule.map_or(rule, |first| first.min(rule)));
        }
    }
}

fn split_level(filter: &str) -> (&str, Option<&str>) {
    match filter.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (filter, None),
    }
}
