//! What is said between broker and service, in JSON. docs/security.md describes it for who writes a service.
//!
//! A key in an answer that is not known here makes it none: a misspelt `"grants"` would otherwise give a client
//! everything.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::auth::authenticator::{Credentials, Decision, Identity};
use crate::auth::certificate::ClientCertificate;
use crate::auth::chain::AuthenticatorChain;
use crate::auth::grants::Grants;

/// No identity holds for longer: a century.
const EXPIRY_MAX_S: u64 = 100 * 365 * 86_400;

#[derive(Serialize)]
struct Question<'a> {
    client_identifier: &'a str,
    user_name: Option<&'a str>,
    /// None if it is no text.
    password: Option<&'a str>,
    /// Only if it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_base64: Option<String>,
    address: Option<String>,
    listener: Option<&'a str>,
    certificate: Option<Certificate>,
}

#[derive(Serialize)]
struct Certificate {
    sha256: String,
    pem: String,
}

/// What the service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Allow { user_name: Option<String>, grants: Option<Grants>, expires_in_s: Option<u64> },
    Deny,
    Ignore,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerText {
    result: ResultText,
    user_name: Option<String>,
    grants: Option<Map<String, Value>>,
    expires_in_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResultText {
    Allow,
    Deny,
    Ignore,
}

/// The question about a client.
pub(super) fn question(request: &Credentials<'_>) -> Vec<u8> {
    let password = request.password().map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes));
    let question = Question {
        client_identifier: request.client_identifier(),
        user_name: request.user_name(),
        password: password.and_then(Result::ok),
        password_base64: password.and_then(Result::err).map(|bytes| STANDARD.encode(bytes)),
        address: request.address().map(|address| address.to_string()),
        listener: request.listener(),
        certificate: request.certificate().map(certificate),
    };
    serde_json::to_vec(&question).unwrap_or_default()
}

fn certificate(certificate: &ClientCertificate) -> Certificate {
    let sha256 = Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = STANDARD.encode(certificate.der());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    Certificate { sha256, pem }
}

impl Answer {
    /// Understands an answer; the error says what is wrong, and shows nothing of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text: AnswerText = serde_json::from_slice(bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            match error.is_data() {
                true => format!("the answer has a key or a value that is not in docs/security.md (line {line}, column {column})"),
                false => format!("the answer is no JSON (line {line}, column {column})"),
            }
        })?;
        let AnswerText { result, user_name, grants, expires_in_s } = text;
        match result {
            ResultText::Deny => Ok(Self::Deny),
            ResultText::Ignore => Ok(Self::Ignore),
            ResultText::Allow => {
                if user_name.as_ref().is_some_and(|name| name.is_empty() || name.contains(char::is_control)) {
                    return Err("the answer has a user_name that is none".to_owned());
                }
                let grants = grants
                    .map(|grants| Grants::parse(&Value::Object(grants).to_string()))
                    .transpose()
                    .map_err(|problem| format!("the answer has grants that cannot be used: {problem}"))?;
                Ok(Self::Allow { user_name, grants, expires_in_s })
            }
        }
    }

    /// What it comes to for a client that presented this.
    pub fn decision(self, request: &Credentials<'_>) -> Decision {
        let Self::Allow { user_name, grants, expires_in_s } = self else {
            return match self {
                Self::Ignore => Decision::NotMine,
                _ => Decision::Refuse(AuthenticatorChain::refuse_unknown(request)),
            };
        };
        let user_name = user_name.as_deref().or(request.user_name()).filter(|name| !name.is_empty());
        let mut identity = user_name.map_or_else(Identity::anonymous, Identity::user);
        if let Some(grants) = grants {
            identity = identity.with_grants(grants);
        }
        if let Some(seconds) = expires_in_s {
            let left = Duration::from_secs(seconds.min(EXPIRY_MAX_S));
            identity = identity.valid_until(SystemTime::now() + left);
        }
        Decision::Allow(identity)
    }
}
