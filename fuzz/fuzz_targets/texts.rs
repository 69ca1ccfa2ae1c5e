//! Any bytes as one of the texts that an operator writes or that credentials bring: nothing may panic, and what is
//! understood must stand up to being asked.
//!
//! The first byte chooses the kind of text.
#![no_main]

use dunlin::Config;
use dunlin::auth::{Acl, ClientIdentifierPattern, Grants, PasswordFile, Policy, Question, Who};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'a' => ask(Acl::parse(bytes, "acl").ok()),
        b't' => ask(Acl::parse(bytes, "acl.toml").ok()),
        b'p' => drop(PasswordFile::parse(bytes, "passwords")),
        _ => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            match kind {
                b'c' => drop(Config::from_toml("dunlin.toml", text)),
                b'g' => ask(Grants::parse(text).ok().and_then(|grants| Acl::of_grants(grants.as_str()).ok())),
                b'i' => {
                    if let Ok(pattern) = ClientIdentifierPattern::parse(text) {
                        assert_eq!(ClientIdentifierPattern::parse(&pattern.to_string()), Ok(pattern.clone()));
                        assert!(!pattern.allows(None, text));
                    }
                }
                _ => {
                    if let Some(policy) = Policy::from_text(text) {
                        let again = policy.to_text().map(|text| Policy::from_text(&text));
                        assert!(again.is_none_or(|again| again == Some(policy)));
                    }
                }
            }
        }
    }
});

/// A Client that may receive a topic may subscribe to it, and nobody writes to `$SYS`.
fn ask(acl: Option<Acl>) {
    let Some(acl) = acl else { return };
    for who in [
        Who { client_identifier: "c", user_name: Some("anna") },
        Who { client_identifier: "a/+", user_name: None },
    ] {
        for topic in ["a", "a/b", "home/anna/c", "$SYS/broker/uptime"] {
            let may_receive = acl.explain(&who, Question::receive(topic)).allowed;
            assert_eq!(may_receive, acl.explain(&who, Question::subscribe(topic)).allowed, "{topic}");
            let _ = acl.explain(&who, Question::publish(topic).at_qos(2).retained(true)).to_string();
            let _ = acl.explain(&who, Question::subscribe("+/#")).to_string();
        }
        assert!(!acl.may_publish(&who, "$SYS/broker/uptime"));
    }
}
