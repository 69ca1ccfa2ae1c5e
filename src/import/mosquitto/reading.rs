//! Reading a mosquitto.conf line by line into a [`Draft`].
//!
//! Which listener, plugin or bridge a line is about depends on the lines before it in the same file: an included file
//! begins with the default listener again, and what comes after `include_dir` goes on where the file was. Reading does
//! not end at the first mistake, so that all of them are told at once.

use std::path::{Path, PathBuf};

use super::draft::{Address, Bridge, Draft, ListenerDraft, Plugin, PluginUser, Security, Written};
use super::lines::{self, Line, Place};
use super::table::{self, Fate};
use super::value::text;
use super::{ImportErrors, Remark};

/// A file being read.
pub(super) struct Reading {
    pub draft: Draft,
    /// Where relative paths start, in this order.
    directories: [PathBuf; 2],
    cursor: Cursor,
    is_included: bool,
    problems: Vec<Remark>,
}

/// What the next line of a file is about.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    /// None for the default listener.
    listener: Option<usize>,
    plugin: Option<usize>,
    is_in_bridge: bool,
}

/// Reads the file at `path` and what it includes.
pub(super) fn read(path: &Path, directory: &Path) -> Result<Draft, ImportErrors> {
    let beside = path.parent().map_or_else(|| directory.to_owned(), |parent| directory.join(parent));
    let mut reading = Reading {
        draft: Draft::new(Place::file(path)),
        directories: [directory.to_owned(), beside],
        cursor: Cursor::default(),
        is_included: false,
        problems: Vec::new(),
    };
    reading.read_file(path);
    if reading.problems.is_empty() { Ok(reading.draft) } else { Err(ImportErrors(reading.problems)) }
}

impl Reading {
    fn read_file(&mut self, path: &Path) {
        let lines = match lines::read(path) {
            Ok(lines) => lines,
            Err(problem) => return self.problems.push(problem),
        };
        for line in &lines {
            if let Err(problem) = self.read_line(line) {
                self.problems.push(Remark::new(&line.place, format!("{}: {problem}", shown(&line.name))));
            }
        }
    }

    fn read_line(&mut self, line: &Line) -> Result<(), String> {
        let Some(option) = table::find(&line.name) else {
            return Err(unknown(&line.name));
        };
        match option.fate {
            Fate::Said(say) => say(self, line)?,
            Fate::Unneeded => self.say_unneeded(line, option.remark),
            Fate::Missing(matters) if matters(line)? => {
                self.remark(line, &format!("has no equivalent. {}", option.remark));
            }
            Fate::Missing(_) => self.say_unneeded(line, "as in Dunlin"),
            Fate::Bridge => match self.draft.bridges.last_mut().filter(|_| self.cursor.is_in_bridge) {
                Some(bridge) => bridge.options += 1,
                None => return Err("belongs to a bridge, but no connection line comes before it".to_owned()),
            },
        }
        Ok(())
    }

    /// `include_dir`.
    pub fn include(&mut self, line: &Line) -> Result<(), String> {
        if self.is_included {
            return Err("may stand in the main file only".to_owned());
        }
        let files = lines::included(&self.path(line)?)?;
        let cursor = std::mem::take(&mut self.cursor);
        self.is_included = true;
        for file in files {
            self.cursor = Cursor::default();
            self.read_file(&file);
        }
        self.is_included = false;
        self.cursor = cursor;
        Ok(())
    }

    /// The value as an absolute path.
    pub fn path(&self, line: &Line) -> Result<PathBuf, String> {
        self.resolve(text(line)?)
    }

    /// A path as mosquitto would find it from where it was started, or else from where its configuration is.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, String> {
        let mut found = self.directories.iter().map(|directory| directory.join(path));
        let there = found.clone().find(|path| path.exists());
        let resolved = there.or_else(|| found.next()).unwrap_or_else(|| PathBuf::from(path));
        if resolved.to_str().is_none() {
            return Err(format!("{} is not UTF-8, and TOML could not name it", resolved.display()));
        }
        Ok(resolved)
    }

    /// Sets an option of Dunlin to what a line says.
    pub fn set(&mut self, line: &Line, option: &'static str, value: String) {
        self.draft.set(option, value, line.place.to_string());
    }

    /// Tells something about a line.
    pub fn remark(&mut self, line: &Line, text: &str) {
        self.draft.remarks.push(Remark::new(&line.place, format!("{}: {text}", line.name)));
    }

    /// Notes why a line needs no option.
    pub fn say_unneeded(&mut self, line: &Line, why: &str) {
        self.draft.unneeded.push(Remark::new(&line.place, format!("{}: {why}", line.name)));
    }

    /// The smaller of this and what another line says.
    pub fn limit_packets(&mut self, line: &Line, bytes: i64) {
        match &mut self.draft.packet_bytes {
            Some(written) if written.value <= bytes => {}
            smallest => *smallest = Some(Written::new(bytes, &line.place)),
        }
    }

    /// Who may do what, for what the line is about: all, or this listener.
    pub fn security(&mut self) -> &mut Security {
        if !self.draft.per_listener {
            return &mut self.draft.security;
        }
        match self.cursor.listener {
            Some(index) => &mut self.draft.listeners[index].security,
            None => &mut self.draft.default_listener.security,
        }
    }

    /// The same, by a line which brings the default listener into being when it is about that one.
    pub fn security_with_users(&mut self) -> &mut Security {
        if self.draft.per_listener && self.cursor.listener.is_none() {
            self.draft.default_listener.is_wanted = true;
        }
        self.security()
    }

    /// The listener that a line is about.
    pub fn listener(&mut self, line: &Line) -> &mut ListenerDraft {
        match self.cursor.listener {
            Some(index) => &mut self.draft.listeners[index],
            None => {
                let listener = &mut self.draft.default_listener;
                if !listener.is_wanted {
                    listener.is_wanted = true;
                    listener.place = line.place.clone();
                }
                listener
            }
        }
    }

    /// Keeps the listener closed that a line is about, because of a protection that has no equivalent.
    pub fn close(&mut self, line: &Line, why: &str) {
        let remark = Remark::new(&line.place, format!("{}: {why}", line.name));
        self.listener(line).closed.push(remark);
    }

    /// Keeps all listeners closed.
    pub fn close_all(&mut self, line: &Line, why: &str) {
        self.draft.closed.push(Remark::new(&line.place, format!("{}: {why}", line.name)));
    }

    /// `listener`.
    pub fn begin_listener(&mut self, line: &Line, address: Address) {
        self.cursor.listener = Some(self.draft.listeners.len());
        self.draft.listeners.push(ListenerDraft::new(&line.place, address));
    }

    /// `port` and `bind_address`, which are about the default listener wherever they stand.
    pub fn change_default_listener(&mut self, line: &Line, change: impl FnOnce(&mut Address)) {
        let cursor = std::mem::take(&mut self.cursor);
        let listener = self.listener(line);
        listener.is_addressed = true;
        change(&mut listener.address);
        self.cursor = cursor;
    }

    /// `connection`.
    pub fn begin_bridge(&mut self, line: &Line) -> Result<(), String> {
        text(line)?;
        self.cursor.is_in_bridge = true;
        let name = line.word().to_owned();
        self.draft.bridges.push(Bridge { place: line.place.clone(), name, options: 0 });
        Ok(())
    }

    /// `plugin` and its like.
    pub fn begin_plugin(&mut self, line: &Line, name: Option<String>) -> Result<(), String> {
        let path = text(line)?.to_owned();
        let users = match self.cursor.listener {
            _ if name.is_some() => Vec::new(),
            _ if !self.draft.per_listener || line.name == "global_plugin" => vec![PluginUser::Everybody],
            Some(index) => vec![PluginUser::Listener(index)],
            None => {
                self.draft.default_listener.is_wanted = true;
                vec![PluginUser::DefaultListener]
            }
        };
        self.cursor.plugin = Some(self.draft.plugins.len());
        let users = users.into_iter().map(|user| Written::new(user, &line.place)).collect();
        let place = line.place.clone();
        self.draft.plugins.push(Plugin { place, name, path, file: None, options: Vec::new(), users });
        Ok(())
    }

    /// `plugin_use`.
    pub fn use_plugin(&mut self, line: &Line) -> Result<(), String> {
        let name = text(line)?;
        let Some(listener) = self.cursor.listener else {
            return Err("must follow a listener line".to_owned());
        };
        let named = self.draft.plugins.iter().position(|plugin| plugin.name.as_deref() == Some(name));
        let Some(index) = named else {
            return Err(format!("no plugin_load line before it names {name:?}"));
        };
        self.cursor.plugin = Some(index);
        self.draft.plugins[index].users.push(Written::new(PluginUser::Listener(listener), &line.place));
        Ok(())
    }

    /// `plugin_opt_...`.
    pub fn plugin_option(&mut self, line: &Line) -> Result<(), String> {
        let Some(index) = self.cursor.plugin else {
            return Err("must follow a plugin line".to_owned());
        };
        let path = self.path(line)?;
        let plugin = &mut self.draft.plugins[index];
        if plugin.reads().is_some_and(|option| line.name.strip_prefix("plugin_opt_") == Some(option)) {
            plugin.file = Some(Written::new(path, &line.place));
        } else {
            plugin.options.push(Written::new(line.name.clone(), &line.place));
        }
        Ok(())
    }
}

/// A name as far as it may be repeated: behind a tab, say, there could be a password.
fn shown(name: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let is_name = |character: &char| character.is_ascii_alphanumeric() || "_.#".contains(*character);
    name.chars().take_while(is_name).take(CHARACTERS_MAX).collect()
}

fn unknown(name: &str) -> String {
    if name.starts_with('#') {
        "a comment must begin in the first column".to_owned()
    } else if name.contains('\t') {
        "the name of an option must end at a space, not at a tab".to_owned()
    } else {
        "is no option of mosquitto 2.0 or 2.1".to_owned()
    }
}
