//! Rights that come with credentials: in a claim of a token, or in the answer of an authentication service.
//!
//! They stand in the place of the ACL file for their Client, and they are one role (`role.rs`), as a JSON
//! object:
//!
//! ```json
//! {"publish": ["sensors/%c/#"], "subscribe": ["commands/%c"], "deny": [], "namespace": "homes/%u",
//!  "retain": false, "max_qos": 1, "shared": ["workers"]}
//! ```
//!
//! They are kept as this text, because a Session outlives its connection and this process, and what waits for it
//! is judged by them meanwhile.

use std::fmt;
use std::sync::Arc;

use super::acl::Acl;
use super::acl_file::AclFileProblem;
use super::role::RoleText;

/// The longest text of grants: they are kept with every Session that has some.
const GRANTS_BYTES_MAX: usize = 16 * 1024;

/// Rights that came with credentials; valid by construction. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grants(Arc<str>);

/// What is wrong with the text of grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantsProblem {
    /// It is no JSON object with the keys of a role.
    NotARole(String),
    /// One of its topic filters cannot be used.
    Filter(AclFileProblem),
    /// Another of its values is out of its range.
    Value(&'static str),
    /// It has more than 16 KiB.
    TooLong,
}

impl Grants {
    /// Understands a JSON object.
    ///
    /// # Errors
    /// When it is no role, or too long.
    pub fn parse(json: &str) -> Result<Self, GrantsProblem> {
        Acl::of_grants(json)?;
        Ok(Self(json.into()))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The role in a JSON text.
pub(super) fn role(json: &str) -> Result<RoleText<String>, GrantsProblem> {
    if json.len() > GRANTS_BYTES_MAX {
        return Err(GrantsProblem::TooLong);
    }
    serde_json::from_str(json).map_err(|error| GrantsProblem::NotARole(error.to_string()))
}

impl fmt::Display for GrantsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARole(problem) => write!(f, "the rights are no JSON object of a role: {problem}"),
            Self::Filter(problem) => {
                write!(f, "the rights have a topic filter that cannot be used: {problem}")
            }
            Self::Value(problem) => write!(f, "the rights have a value that cannot be used: {problem}"),
            Self::TooLong => write!(f, "the rights have more than {GRANTS_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for GrantsProblem {}
