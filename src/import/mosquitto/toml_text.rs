//! The text of a dunlin.toml, section by section, in the order of the reference.

use std::fmt::Write as _;

use super::Remark;
use super::draft::Draft;
use super::lines::Place;
use super::listener::{self, Entry, General, ListenerTable};
use crate::config::sections;

/// The text, as it grows.
#[derive(Default)]
pub(super) struct Toml {
    pub text: String,
}

impl Toml {
    pub fn head(&mut self, file: &Place, is_local: bool) {
        self.comment(&format!(
            "What `dunlin import mosquitto` makes of {file}. Behind each value is the line it comes from."
        ));
        self.comment("`dunlin check --config` says whether the files named here can be used; docs/configuration.md explains the options.");
        if is_local {
            self.text.push('\n');
            self.comment("No listener is configured: only this machine can connect, as to mosquitto.");
        }
    }

    pub fn listener(&mut self, table: &ListenerTable) {
        self.text.push('\n');
        for reason in &table.closed {
            self.comment(&format!("Closed because of {reason}"));
        }
        let mut block = Self::default();
        block.text.push_str("[[listener]]\n");
        block.entries(&table.entries);
        for (name, entries) in [("[listener.tls]\n", &table.tls), ("[listener.auth]\n", &table.auth)] {
            if !entries.is_empty() {
                block.text.push_str(name);
                block.entries(entries);
            }
        }
        self.block(&block.text, table.closed.is_empty());
    }

    /// The general rules. While no listener is open, Dunlin has one for this machine, and that must admit nobody.
    pub fn auth(&mut self, general: &General<'_>, is_open: bool) {
        if is_open && general.per_listener {
            return;
        }
        self.text.push_str("\n[auth]\n");
        if !is_open {
            self.comment("No listener is open. Dunlin then has one for this machine, which admits nobody with this line:");
            self.text.push_str("allow_anonymous = false\n");
        }
        if !general.per_listener {
            let mut block = Self::default();
            block.entries(&listener::security_entries(general.security, general.anonymous_by_default));
            self.block(&block.text, is_open);
        }
    }

    /// The other sections, in the order of the reference.
    pub fn settings(&mut self, draft: &Draft) {
        for section in sections() {
            let options: Vec<_> = draft
                .settings
                .iter()
                .filter_map(|setting| {
                    let (name, key) = setting.option.split_once('.')?;
                    (name == section.name).then(|| Entry::new(key, setting.value.clone(), &setting.origin))
                })
                .collect();
            if !options.is_empty() {
                let _ = writeln!(self.text, "\n[{}]", section.name);
                self.entries(&options);
            }
        }
    }

    pub fn unneeded(&mut self, lines: &[Remark]) {
        if !lines.is_empty() {
            self.text.push('\n');
            self.comment("Lines that need no option here:");
            lines.iter().for_each(|line| self.comment(&format!("  {line}")));
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        for Entry { key, value, origin } in entries {
            let _ = write!(self.text, "{key} = {value}  ");
            self.comment(origin);
        }
    }

    /// Some lines, or if they shall not hold, as comments.
    fn block(&mut self, text: &str, holds: bool) {
        for line in text.lines() {
            let _ = writeln!(self.text, "{}{line}", if holds { "" } else { "# " });
        }
    }

    /// A comment to the end of the line; TOML has no control characters there.
    fn comment(&mut self, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let _ = writeln!(self.text, "# {text}");
    }
}
