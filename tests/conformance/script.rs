//! Scripts: cases of packets that go to the Server and come from it. `scripts/README.md` teaches the
//! notation.
//!
//! The parser is strict: whatever it does not understand is an error with its line, a case without a citation
//! of the specification is one too, and so a script cannot pass by being misread.

use crate::packet::{Packet, Version};
use crate::value::{Value, number};
use crate::words::{Word, words};
use std::time::Duration;

/// A behaviour, shown by what a few clients send and get.
#[derive(Debug)]
pub struct Case {
    pub title: String,
    /// Of its `case` line, from 1.
    pub line: usize,
    pub versions: Vec<Version>,
    pub setup: Setup,
    /// Each with its line.
    pub steps: Vec<(usize, Step)>,
}

/// How the broker of a case differs from the default one.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Names as in `dunlin_core::settings::Settings`, and values.
    pub settings: Vec<(String, String)>,
    /// What nobody may do: publish, subscribe or receive, and the topic or filter.
    pub denied: Vec<(String, String)>,
    /// The only User Name and Password that are accepted.
    pub credentials: Option<(String, Vec<u8>)>,
    /// It needs what only the driver in memory can do.
    pub only_in_memory: bool,
    /// It shows what waits for the store.
    pub needs_store: bool,
    /// The broker crashes in it, so what was stored must be kept.
    pub has_crash: bool,
}

/// A line of a case.
#[derive(Clone, Debug)]
pub enum Step {
    /// `a -> PACKET`; with `->>` its bytes leave together with those of the next.
    Send { client: String, packet: Packet, is_held: bool },
    /// `a -> bytes 30 00`
    SendBytes { client: String, bytes: Vec<u8>, is_held: bool },
    /// `a <- PACKET`, or `a|b <- PACKET as c`; neighbours with `<~` come in any order.
    Expect { clients: Vec<String>, packet: Packet, in_any_order: bool, alias: Option<String> },
    /// `a <- close`
    ExpectClose { client: String },
    /// `a <- nothing`
    ExpectNothing { client: String },
    /// `a cut`
    Cut { client: String },
    /// `a stops reading`, `a reads on`
    Read { client: String, does_read: bool },
    /// `wait 15s`
    Wait(Duration),
    /// `broker stops`
    Stop,
    /// `broker crashes`, `broker crashes for 1h`
    Crash { downtime: Duration },
    /// `store holds`, `store goes on`
    Store { is_held: bool },
}

/// Reads a script. The error begins with the line.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut parser = Parser::default();
    for (line, text) in (1..).zip(text.replace("\\\n", " \u{1}").lines()) {
        // A continued line keeps the number of its beginning; those after it move on.
        let line = line + parser.continued;
        parser.continued += text.matches('\u{1}').count();
        parser.take(line, &text.replace('\u{1}', " ")).map_err(|error| format!("{line}: {error}"))?;
    }
    match parser.cases.last() {
        Some(case) if case.steps.is_empty() => Err(format!("{}: the case is empty", case.line)),
        Some(_) => Ok(parser.cases),
        None => Err("1: there is no case".to_owned()),
    }
}

#[derive(Default)]
struct Parser {
    cases: Vec<Case>,
    /// Of all cases that do not say their own.
    versions: Vec<Version>,
    is_cited: bool,
    continued: usize,
    /// Packet Identifiers for `subscribes`, `unsubscribes` and `publishes`.
    identifiers: u64,
}

impl Parser {
    fn take(&mut self, line: usize, text: &str) -> Result<(), String> {
        if text.trim_start().starts_with("# spec(") {
            self.is_cited = true;
            return Ok(());
        }
        if let Some(title) = text.strip_prefix("case ") {
            if !std::mem::take(&mut self.is_cited) {
                return Err(
                    "above a case stands what it shows, as in `# spec(v5): [MQTT-3.3.1-5]`".to_owned()
                );
            }
            if let Some(case) = self.cases.last().filter(|case| case.steps.is_empty()) {
                return Err(format!("the case in line {} is empty", case.line));
            }
            self.identifiers = 60_000;
            let versions =
                if self.versions.is_empty() { Version::ALL.to_vec() } else { self.versions.clone() };
            let title = title.trim().to_owned();
            self.cases.push(Case { title, line, versions, setup: Setup::default(), steps: Vec::new() });
            return Ok(());
        }
        let words = words(text)?;
        if words.is_empty() {
            return Ok(());
        }
        let bare: Vec<&str> = words
            .iter()
            .map(|word| match word {
                Word::Bare(word) => word.as_str(),
                _ => "",
            })
            .collect();
        if !text.starts_with([' ', '\t']) {
            return match bare.as_slice() {
                ["versions", versions @ ..] if self.cases.is_empty() => {
                    self.versions = parse_versions(versions)?;
                    Ok(())
                }
                _ => Err("here stands `case` and its title, or an indented line of a case".to_owned()),
            };
        }
        let Some(case) = self.cases.last_mut() else {
            return Err("this line belongs to no case".to_owned());
        };
        match bare.as_slice() {
            ["versions", versions @ ..] if case.steps.is_empty() => case.versions = parse_versions(versions)?,
            ["settings", ..] if case.steps.is_empty() => take_settings(&mut case.setup, &words[1..])?,
            ["only", "in", "memory"] if case.steps.is_empty() => case.setup.only_in_memory = true,
            ["only", "with", "a", "store"] if case.steps.is_empty() => {
                case.setup.needs_store = true;
                case.setup.only_in_memory = true;
            }
            ["denied", action @ ("publish" | "subscribe" | "receive"), ""] if case.steps.is_empty() => {
                let Word::Text(topic) = &words[2] else {
                    return Err("what is denied stands in quotes".to_owned());
                };
                case.setup.denied.push(((*action).to_owned(), String::from_utf8_lossy(topic).into_owned()));
                case.setup.only_in_memory = true;
            }
            ["credentials", "", ""] if case.steps.is_empty() => {
                let [_, Word::Text(user_name), Word::Text(password)] = words.as_slice() else {
                    return Err("User Name and Password stand in quotes".to_owned());
                };
                case.setup.credentials =
                    Some((String::from_utf8_lossy(user_name).into_owned(), password.clone()));
                case.setup.only_in_memory = true;
            }
            ["versions" | "settings" | "only" | "denied" | "credentials", ..] => {
                return Err(format!("`{}` stands before the first step, and reads otherwise", bare[0]));
            }
            _ => {
                let (steps, needs_memory) = steps(&words, &bare, &mut self.identifiers)?;
                case.setup.only_in_memory |= needs_memory;
                case.setup.has_crash |= steps.iter().any(|step| matches!(step, Step::Crash { .. }));
                case.steps.extend(steps.into_iter().map(|step| (line, step)));
            }
        }
        Ok(())
    }
}

fn parse_versions(names: &[&str]) -> Result<Vec<Version>, String> {
    let named =
        |name: &&str| Version::named(name).ok_or_else(|| format!("`{name}` is no version: 3.1, 3.1.1, 5.0"));
    names.iter().map(named).collect()
}

fn take_settings(setup: &mut Setup, mut words: &[Word]) -> Result<(), String> {
    while let [Word::Bare(name), rest @ ..] = words {
        let (value, rest) = match rest {
            [Word::Mark('='), Word::Bare(value), rest @ ..] => (value.clone(), rest),
            [Word::Mark('='), Word::Text(value), rest @ ..] => {
                (String::from_utf8_lossy(value).into_owned(), rest)
            }
            _ => ("true".to_owned(), rest),
        };
        setup.settings.push((name.clone(), value));
        words = rest;
    }
    if words.is_empty() { Ok(()) } else { Err("settings read as `name=value`".to_owned()) }
}

/// The steps that a line stands for, and whether only memory can take them.
fn steps(words: &[Word], bare: &[&str], identifiers: &mut u64) -> Result<(Vec<Step>, bool), String> {
    let one = |step| Ok((vec![step], false));
    match bare {
        ["wait", time] => Ok((vec![Step::Wait(duration(time)?)], true)),
        ["broker", "stops"] => one(Step::Stop),
        ["broker", "crashes"] => Ok((vec![Step::Crash { downtime: Duration::ZERO }], true)),
        ["broker", "crashes", "for", time] => Ok((vec![Step::Crash { downtime: duration(time)? }], true)),
        ["store", "holds"] => Ok((vec![Step::Store { is_held: true }], true)),
        ["store", "goes", "on"] => Ok((vec![Step::Store { is_held: false }], true)),
        [client, "cut"] => one(Step::Cut { client: name(client)? }),
        [client, "stops", "reading"] => {
            Ok((vec![Step::Read { client: name(client)?, does_read: false }], true))
        }
        [client, "reads", "on"] => Ok((vec![Step::Read { client: name(client)?, does_read: true }], true)),
        [client, "<-", "close"] => one(Step::ExpectClose { client: name(client)? }),
        [client, "<-", "nothing"] => one(Step::ExpectNothing { client: name(client)? }),
        [client, arrow @ ("->" | "->>"), "bytes", ..] => one(Step::SendBytes {
            client: name(client)?,
            bytes: raw_bytes(&words[3..])?,
            is_held: *arrow == "->>",
        }),
        [client, arrow @ ("->" | "->>"), ..] => one(Step::Send {
            client: name(client)?,
            packet: Packet::parse(&words[2..])?,
            is_held: *arrow == "->>",
        }),
        [clients, arrow @ ("<-" | "<~"), ..] => {
            let clients = clients.split('|').map(name).collect::<Result<_, _>>()?;
            let (words, alias) = match (words, bare) {
                ([words @ .., _, _], [.., "as", alias]) => (words, Some(name(alias)?)),
                _ => (words, None),
            };
            one(Step::Expect {
                clients,
                packet: Packet::parse(&words[2..])?,
                in_any_order: *arrow == "<~",
                alias,
            })
        }
        [
            client,
            verb @ ("connects" | "resumes" | "subscribes" | "unsubscribes" | "publishes" | "disconnects"),
            ..,
        ] => Ok((exchange(&name(client)?, verb, &words[2..], identifiers)?, false)),
        _ => Err("this is no step".to_owned()),
    }
}

/// The whole exchange that a verb stands for.
fn exchange(client: &str, verb: &str, words: &[Word], identifiers: &mut u64) -> Result<Vec<Step>, String> {
    let send = |packet| Step::Send { client: client.to_owned(), packet, is_held: false };
    let expect =
        |packet| Step::Expect { clients: vec![client.to_owned()], packet, in_any_order: false, alias: None };
    *identifiers += 1;
    let id = Value::Number(*identifiers);
    let parse = |kind: &str| {
        let words: Vec<Word> =
            std::iter::once(Word::Bare(kind.to_owned())).chain(words.iter().cloned()).collect();
        Packet::parse(&words)
    };
    Ok(match verb {
        "connects" => vec![send(parse("CONNECT")?), expect(Packet::new("CONNACK"))],
        "resumes" => {
            let connack = Packet::new("CONNACK").with("session_present", Value::Number(1));
            vec![send(parse("CONNECT")?), expect(connack)]
        }
        "subscribes" => {
            let packet = parse("SUBSCRIBE")?;
            let granted = packet.filters.iter().map(|filter| filter.options & 0b11).collect();
            let suback =
                Packet::new("SUBACK").with("id", id.clone()).with("reasons", Value::Reasons(granted));
            vec![send(packet.with("id", id)), expect(suback)]
        }
        "unsubscribes" => {
            let packet = parse("UNSUBSCRIBE")?;
            let success = vec![0; packet.filters.len()];
            let unsuback =
                Packet::new("UNSUBACK").with("id", id.clone()).with("reasons", Value::Reasons(success));
            vec![send(packet.with("id", id)), expect(unsuback)]
        }
        "publishes" => {
            let packet = parse("PUBLISH")?;
            let acknowledged = |kind| {
                let mut packet = Packet::new(kind).with("id", id.clone());
                packet.is_open = true;
                expect(packet)
            };
            match packet.get("qos") {
                Some(Value::Number(1)) => vec![send(packet.with("id", id.clone())), acknowledged("PUBACK")],
                Some(Value::Number(2)) => {
                    let pubrel = Packet::new("PUBREL").with("id", id.clone());
                    let (pubrec, pubcomp) = (acknowledged("PUBREC"), acknowledged("PUBCOMP"));
                    vec![send(packet.with("id", id.clone())), pubrec, send(pubrel), pubcomp]
                }
                _ => vec![send(packet)],
            }
        }
        _ => vec![send(parse("DISCONNECT")?), Step::ExpectClose { client: client.to_owned() }],
    })
}

fn name(word: &str) -> Result<String, String> {
    let is_name =
        !word.is_empty() && word.chars().all(|character| character.is_alphanumeric() || character == '_');
    if is_name { Ok(word.to_owned()) } else { Err(format!("`{word}` is no name of a client")) }
}

fn duration(word: &str) -> Result<Duration, String> {
    let millis = word.strip_suffix("ms").and_then(number).map(Duration::from_millis);
    millis
        .or_else(|| word.strip_suffix('s').and_then(number).map(Duration::from_secs))
        .ok_or_else(|| format!("`{word}` is no time such as 15s or 500ms"))
}

/// `30 02 "MQTT" 00`
fn raw_bytes(words: &[Word]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in words {
        match word {
            Word::Text(text) => bytes.extend(text),
            Word::Bare(digits) if digits.len() == 2 => {
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| format!("`{digits}` is no byte"))?);
            }
            _ => return Err("bytes are two hexadecimal digits each, or texts".to_owned()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let head = "# spec(v5): [MQTT-3.1.0-1]\ncase a\n";
        for (script, error) in [
            ("case a\n  wait 1s\n", "1: above a case"),
            ("# spec(v5): [MQTT-3.1.0-1]\ncase a\n", "2: the case is empty"),
            (&format!("{head}  wait 1\n"), "3: `1` is no time"),
            (&format!("{head}  a -> PUBLSH\n"), "3: `PUBLSH` is no packet type"),
            (
                &format!("{head}  a -> PUBLISH \\\n    qos=1\n  a <- PUBACK idd=1\n"),
                "5: PUBACK has no field `idd`",
            ),
            (&format!("{head}  a <- CONNACK good\n"), "3: CONNACK has no field `good`"),
            (&format!("{head}  a -> CONNECT clean_start clean_start\n"), "3: `clean_start` is said twice"),
            (&format!("{head}  a waves\n"), "3: this is no step"),
            (&format!("{head}  wait 1s\n  settings a=1\n"), "4: `settings` stands before"),
            (&format!("{head}  wait 1s\n\n# a\nversions 5.0\n"), "6: here stands `case`"),
        ] {
            let message = parse(script).unwrap_err();
            assert!(message.starts_with(error), "{script}: {message}");
        }
    }

    #[test]
    fn a_verb_stands_for_its_whole_exchange() {
        let script = "# spec(v5): [MQTT-3.1.0-1]\ncase a\n  a publishes qos=2 \"t\"\n";
        let steps = &parse(script).unwrap()[0].steps;
        let names: Vec<String> = steps
            .iter()
            .map(|(_, step)| match step {
                Step::Send { packet, .. } => format!("-> {packet}"),
                Step::Expect { packet, .. } => format!("<- {packet}"),
                other => format!("{other:?}"),
            })
            .collect();
        let expected = [
            "-> PUBLISH qos=2 \"t\" id=60001",
            "<- PUBREC id=60001 ...",
            "-> PUBREL id=60001",
            "<- PUBCOMP id=60001 ...",
        ];
        assert_eq!(names, expected);
    }
}
