//! The text of an ACL file, in mosquitto's format.
//!
//! ```text
//! # Before the first user line: anonymous clients.
//! topic read announcements/#
//!
//! user anna
//! topic home/anna/#
//! topic deny home/anna/safe
//!
//! # Everyone, wherever it stands.
//! pattern write sensors/%c/data
//! ```
//!
//! The access (`read`, `write`, `readwrite`, `deny`) may be left out before a filter without blanks and is
//! then `readwrite`. We load what mosquitto loads, with the meaning it has there, except where a line could
//! only be a slip that silently protects nothing: an access without a filter (mosquitto reads it as a topic
//! of that name), a placeholder in a `topic` line or beside other text in its level, a filter beneath
//! `$share/`.

use std::fmt;
use std::path::Path;

use super::acl::{Acl, Section};
use super::rule_tree::{Right, RuleFilter, RuleLevel};
use super::text_file::{self, FileError};

/// The longest filter, in bytes: no topic is longer (MQTT 5.0, section 1.5.4).
const FILTER_BYTES_MAX: usize = 65_535;
/// The most levels of a filter, which bounds the depth of the tree. mosquitto has the same limit.
const FILTER_LEVELS_MAX: usize = 200;

/// Why an ACL file was not loaded.
pub type AclFileError = FileError<AclFileProblem>;

/// What is wrong with a line of an ACL file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AclFileProblem {
    /// The line begins with something else than `user`, `topic` or `pattern`.
    UnknownKeyword(String),
    /// `user` without a name.
    NoUserName,
    /// `topic` or `pattern` without a filter.
    NoFilter(&'static str),
    /// A filter without a character, which matches no topic.
    EmptyFilter,
    /// Two words after `topic` or `pattern`, of which the first is not an access.
    UnknownAccess(String),
    /// A `+` or a `#` that is not a level of its own, or a `#` before the last level.
    MisplacedWildcard(String),
    /// A `%u` or `%c` beside other text in its level.
    MisplacedPlaceholder(String),
    /// A `%u` or `%c` in a `topic` line.
    PlaceholderInTopic(String),
    /// A filter that begins with `$share/`.
    SharedFilter(String),
    /// A file in TOML is no TOML, or has keys that no ACL has.
    Toml(String),
    /// A role that the file does not have.
    UnknownRole(String),
    /// A role that names another role.
    RoleInRole,
    /// Another value that cannot be used.
    Value(&'static str),
    /// A filter of more than 65,535 bytes or 200 levels.
    FilterTooLong,
}

impl fmt::Display for AclFileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKeyword(found) => {
                write!(f, "a line should begin with `user`, `topic`, `pattern` or `#`, not with {found:?}")
            }
            Self::NoUserName => f.write_str("`user` should be followed by a user name"),
            Self::NoFilter(keyword) => {
                write!(f, "`{keyword}` should be followed by a topic filter, as in `{keyword} read news/#`")
            }
            Self::EmptyFilter => f.write_str("a topic filter should not be empty; `#` matches every topic"),
            Self::UnknownAccess(found) => write!(
                f,
                "the access should be read, write, readwrite or deny, not {found:?}; \
                 it may be left out only before a filter without blanks"
            ),
            Self::MisplacedWildcard(filter) => write!(
                f,
                "in {filter:?}, `+` and `#` should each be a whole level, and `#` the last one; \
                 a comment needs a line of its own"
            ),
            Self::MisplacedPlaceholder(filter) => {
                write!(
                    f,
                    "in {filter:?}, `%u` and `%c` should each be a whole level, as in `devices/%c/state`"
                )
            }
            Self::PlaceholderInTopic(filter) => {
                write!(f, "in {filter:?}, `%u` and `%c` mean nothing; a line with them begins with `pattern`")
            }
            Self::SharedFilter(filter) => write!(
                f,
                "{filter:?} never matches; write the filter beneath `$share/NAME/`, \
                 it applies to shared subscriptions too"
            ),
            Self::Toml(problem) => f.write_str(problem),
            Self::UnknownRole(role) => write!(f, "there is no [role.{role}]"),
            Self::RoleInRole => {
                f.write_str("a role cannot have roles; users, [anonymous] and [everyone] can")
            }
            Self::Value(problem) => f.write_str(problem),
            Self::FilterTooLong => {
                write!(f, "a filter has at most {FILTER_BYTES_MAX} bytes and {FILTER_LEVELS_MAX} levels")
            }
        }
    }
}

/// Enters every rule of `bytes` into `acl`.
pub(super) fn parse(acl: &mut Acl, path: &Path, bytes: &[u8]) -> Result<(), AclFileError> {
    let mut user_name: Option<String> = None;
    text_file::for_each_line(path, bytes, |line, text| {
        let (keyword, rest) = split_word(text);
        let section = match keyword {
            "user" if rest.is_empty() => return Err(AclFileProblem::NoUserName),
            "user" => {
                user_name = Some(rest.to_owned());
                return Ok(());
            }
            "topic" => user_name.as_deref().map_or(Section::Anonymous, Section::User),
            "pattern" => Section::Everyone,
            _ => return Err(AclFileProblem::UnknownKeyword(keyword.to_owned())),
        };
        let (rights, filter) = parse_rule(section, rest)?;
        let role = acl.own_role(section);
        acl.push(role, &filter, rights, line, text);
        Ok(())
    })
}

fn parse_rule<'a>(
    section: Section<'_>,
    text: &'a str,
) -> Result<(&'static [Right], RuleFilter<'a>), AclFileProblem> {
    let keyword = if section == Section::Everyone { "pattern" } else { "topic" };
    let (word, rest) = split_word(text);
    let (rights, filter) = match (parse_access(word), rest) {
        (_, "") if word.is_empty() => return Err(AclFileProblem::NoFilter(keyword)),
        (Some(_), "") => return Err(AclFileProblem::NoFilter(keyword)),
        (Some(rights), filter) => (rights, filter),
        (None, "") => (READ_WRITE, word),
        (None, _) => return Err(AclFileProblem::UnknownAccess(word.to_owned())),
    };
    Ok((rights, parse_filter(section, filter)?))
}

const READ_WRITE: &[Right] = &[Right::Read, Right::Write];

fn parse_access(word: &str) -> Option<&'static [Right]> {
    match word {
        "read" => Some(&[Right::Read]),
        "write" => Some(&[Right::Write]),
        "readwrite" => Some(READ_WRITE),
        "deny" => Some(&[Right::Deny]),
        _ => None,
    }
}

pub(super) fn parse_filter<'a>(
    section: Section<'_>,
    filter: &'a str,
) -> Result<RuleFilter<'a>, AclFileProblem> {
    if filter.is_empty() {
        return Err(AclFileProblem::EmptyFilter);
    }
    if filter.len() > FILTER_BYTES_MAX || filter.split('/').count() > FILTER_LEVELS_MAX {
        return Err(AclFileProblem::FilterTooLong);
    }
    if filter.starts_with("$share/") {
        return Err(AclFileProblem::SharedFilter(filter.to_owned()));
    }
    let (levels, is_open_ended) = match filter.strip_suffix('#') {
        Some("") => (None, true),
        Some(levels) => match levels.strip_suffix('/') {
            Some(levels) => (Some(levels), true),
            None => return Err(AclFileProblem::MisplacedWildcard(filter.to_owned())),
        },
        None => (Some(filter), false),
    };
    let levels = levels.into_iter().flat_map(|levels| levels.split('/'));
    let levels = levels.map(|level| match level {
        "+" => Ok(RuleLevel::SingleLevelWildcard),
        _ if level.contains(['+', '#']) => Err(AclFileProblem::MisplacedWildcard(filter.to_owned())),
        _ if !level.contains("%u") && !level.contains("%c") => Ok(RuleLevel::Literal(level)),
        _ if section != Section::Everyone => Err(AclFileProblem::PlaceholderInTopic(filter.to_owned())),
        "%u" => Ok(RuleLevel::UserName),
        "%c" => Ok(RuleLevel::ClientIdentifier),
        _ => Err(AclFileProblem::MisplacedPlaceholder(filter.to_owned())),
    });
    Ok(RuleFilter { levels: levels.collect::<Result<_, _>>()?, is_open_ended })
}

/// The first word of a line and what follows the blanks behind it.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}
