//! The text of an ACL file in TOML, for who wants roles.
//!
//! ```toml
//! [role.sensor]
//! publish = ["sensors/%c/#"]
//! subscribe = ["commands/%c"]
//! max_qos = 1
//!
//! [role.operator]
//! subscribe = ["#", "$SYS/#"]
//! publish = ["commands/#"]
//! deny = ["commands/reactor/#"]
//! shared = ["operators"]
//!
//! [user.anna]
//! roles = ["operator"]
//! namespace = "homes/%u"
//!
//! [anonymous]
//! subscribe = ["news/#"]
//!
//! [everyone]
//! roles = ["sensor"]
//! ```
//!
//! Users, `[anonymous]` and `[everyone]` have the roles that they name, and may have rules of their own beside
//! them. Filters mean what they mean in mosquitto's format; `%u` and `%c` are allowed everywhere.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::acl::{Acl, RoleId, Section};
use super::acl_file::{AclFileError, AclFileProblem};
use super::role::RoleText;
use super::text_file::FileError;

type Rules = RoleText<Spanned<String>>;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    role: BTreeMap<String, Spanned<Rules>>,
    #[serde(default)]
    user: BTreeMap<String, Spanned<Rules>>,
    anonymous: Option<Spanned<Rules>>,
    everyone: Option<Spanned<Rules>>,
}

/// What is wrong, and at which byte.
type Fault = (usize, AclFileProblem);

/// Enters every rule of `bytes` into `acl`.
pub(super) fn parse(acl: &mut Acl, path: &Path, bytes: &[u8]) -> Result<(), AclFileError> {
    let text = std::str::from_utf8(bytes).map_err(|error| FileError::NotUtf8 {
        path: path.to_owned(),
        line: line_at(bytes, error.valid_up_to()),
    })?;
    let parsed: Result<Text, _> = toml::from_str(text);
    let result = match parsed {
        Ok(parsed) => enter(acl, &parsed, bytes),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            Err((at, AclFileProblem::Toml(error.message().to_owned())))
        }
    };
    result.map_err(|(at, problem)| FileError::Line {
        path: path.to_owned(),
        line: line_at(bytes, at),
        problem,
    })
}

fn enter(acl: &mut Acl, text: &Text, bytes: &[u8]) -> Result<(), Fault> {
    let mut roles = BTreeMap::new();
    for (name, rules) in &text.role {
        if let Some(role) = rules.get_ref().roles.first() {
            return Err((role.span().start, AclFileProblem::RoleInRole));
        }
        roles.insert(name.as_str(), add(acl, rules, bytes)?);
    }
    for (user_name, rules) in &text.user {
        acl.add_user(user_name);
        give(acl, Section::User(user_name), rules, &roles, bytes)?;
    }
    for (section, rules) in [(Section::Anonymous, &text.anonymous), (Section::Everyone, &text.everyone)] {
        if let Some(rules) = rules {
            give(acl, section, rules, &roles, bytes)?;
        }
    }
    Ok(())
}

/// Gives somebody the roles that are named, and one of its own.
fn give(
    acl: &mut Acl,
    section: Section<'_>,
    rules: &Spanned<Rules>,
    roles: &BTreeMap<&str, RoleId>,
    bytes: &[u8],
) -> Result<(), Fault> {
    for name in &rules.get_ref().roles {
        let role = roles
            .get(name.get_ref().as_str())
            .ok_or_else(|| (name.span().start, AclFileProblem::UnknownRole(name.get_ref().clone())))?;
        acl.give(section, *role);
    }
    let own = add(acl, rules, bytes)?;
    acl.give(section, own);
    Ok(())
}

fn add(acl: &mut Acl, rules: &Spanned<Rules>, bytes: &[u8]) -> Result<RoleId, Fault> {
    let limits =
        rules.get_ref().limits().map_err(|problem| (rules.span().start, AclFileProblem::Value(problem)))?;
    let role = acl.add_role(limits);
    acl.push_role(role, rules.get_ref(), |filter| (line_at(bytes, filter.span().start), filter.get_ref()))
        .map_err(|(filter, problem)| (filter.span().start, problem))?;
    Ok(role)
}

/// The line of a byte, counted from 1.
fn line_at(bytes: &[u8], at: usize) -> u32 {
    let before = bytes.get(..at).unwrap_or(bytes);
    1 + before.iter().filter(|byte| **byte == b'\n').count() as u32
}
