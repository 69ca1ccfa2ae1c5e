//! A role: rules that belong together, and what limits them.
//!
//! Whoever has several roles has what any of them grants, except what one of them denies. What limits a role
//! limits its own grants alone: a role with `max_qos = 0` takes nothing from another one.
//!
//! The same keys describe a role in an ACL file (`acl_toml.rs`) and in what comes with credentials
//! (`grants.rs`).

use serde::Deserialize;

use super::rule_tree::RuleTree;

/// The rules of a role, and its limits.
#[derive(Debug, Default)]
pub(super) struct Role {
    pub(super) tree: RuleTree,
    pub(super) limits: RoleLimits,
}

/// What a role grants at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoleLimits {
    /// Whether its messages may be retained.
    pub(super) retain: bool,
    /// The highest QoS of its messages and subscriptions.
    pub(super) maximum_qos: u8,
    /// The names of the Shared Subscriptions it may take part in; none names all.
    pub(super) share_names: Option<Vec<Box<str>>>,
}

impl Default for RoleLimits {
    fn default() -> Self {
        Self { retain: true, maximum_qos: 2, share_names: None }
    }
}

/// A role as it is written; `T` is a text, alone or with its place in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleText<T> {
    /// The names of roles that its owner has beside it; only in a file that has roles with names.
    #[serde(default = "Vec::new")]
    pub(super) roles: Vec<T>,
    /// Topic filters it may publish to.
    #[serde(default = "Vec::new")]
    pub(super) publish: Vec<T>,
    /// Topic filters it may subscribe to and receive from.
    #[serde(default = "Vec::new")]
    pub(super) subscribe: Vec<T>,
    /// Topic filters that it may neither publish to nor receive from.
    #[serde(default = "Vec::new")]
    pub(super) deny: Vec<T>,
    /// A topic beneath which it may do everything.
    #[serde(default = "Option::default")]
    pub(super) namespace: Option<T>,
    /// See [`RoleLimits::retain`].
    pub(super) retain: Option<bool>,
    /// See [`RoleLimits::maximum_qos`].
    pub(super) max_qos: Option<u8>,
    /// See [`RoleLimits::share_names`].
    pub(super) shared: Option<Vec<String>>,
}

impl<T> RoleText<T> {
    /// Its limits; the error says what would be right.
    pub(super) fn limits(&self) -> Result<RoleLimits, &'static str> {
        let maximum_qos = self.max_qos.unwrap_or(2);
        if maximum_qos > 2 {
            return Err("max_qos must be 0, 1 or 2");
        }
        let share_names =
            self.shared.as_ref().map(|names| names.iter().map(|name| name.as_str().into()).collect());
        Ok(RoleLimits { retain: self.retain.unwrap_or(true), maximum_qos, share_names })
    }
}
