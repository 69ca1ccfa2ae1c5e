//! A [`Draft`] as the text of a dunlin.toml, and what there is to tell about it.

use super::draft::{Address, Bridge, Draft, ListenerDraft};
use super::listener::{self, General, ListenerTable, Told};
use super::toml_text::Toml;
use super::{Remark, Translation, plugins, settings, users};

/// What a draft comes to.
pub(super) struct Output {
    pub translation: Translation,
    /// What keeps it from being used.
    pub problems: Vec<Remark>,
}

/// Writes a draft.
pub(super) fn write(mut draft: Draft) -> Output {
    let mut told = Told::default();
    for plugin in std::mem::take(&mut draft.plugins) {
        plugins::settle(&mut draft, &plugin);
    }
    draft.remarks.extend(draft.bridges.iter().map(without_bridge));
    let is_local = draft.listeners.is_empty() && !draft.default_listener.is_wanted;
    let listeners = listeners(&mut draft, is_local);
    let security = draft.security.clone();
    let general = General {
        per_listener: draft.per_listener,
        security: &security,
        anonymous_by_default: is_local,
        closed: &std::mem::take(&mut draft.closed),
    };
    let tables: Vec<_> =
        listeners.iter().flat_map(|listener| listener::tables(listener, &general, &mut told)).collect();
    tell_twice(&tables, &mut told);
    if !draft.per_listener {
        told.remarks.extend(listener::users_without_proof(&security, is_local));
    }
    for security in listeners.iter().map(|listener| &listener.security).chain([&security]) {
        told.remarks.extend(security.password_file.iter().flat_map(users::check_passwords));
        told.remarks.extend(security.acl_file.iter().flat_map(users::check_rules));
    }
    settings::complete(&mut draft, &listeners);

    let mut toml = Toml::default();
    toml.head(&draft.place, is_local);
    tables.iter().for_each(|table| toml.listener(table));
    let is_open = tables.iter().any(|table| table.closed.is_empty());
    toml.auth(&general, is_open);
    toml.settings(&draft);
    toml.unneeded(&draft.unneeded);
    let mut remarks = draft.remarks;
    remarks.append(&mut told.remarks);
    Output {
        translation: Translation { toml: toml.text, remarks: in_order(remarks) },
        problems: told.problems,
    }
}

/// What there is to tell of a bridge.
fn without_bridge(bridge: &Bridge) -> Remark {
    let options = match bridge.options {
        0 => String::new(),
        1 => ", with 1 line about it".to_owned(),
        count => format!(", with {count} lines about it"),
    };
    let text = format!(
        "connection {:?}{options}: has no equivalent. Bridges are not there yet: keep a mosquitto for it that connects to Dunlin as well (docs/migrating-from-mosquitto.md)",
        bridge.name
    );
    Remark::new(&bridge.place, text)
}

/// Remarks file by file, as the files came, and by line, each once: several tables may come of one listener.
fn in_order(remarks: Vec<Remark>) -> Vec<Remark> {
    let mut files: Vec<_> = Vec::new();
    for remark in &remarks {
        if !files.contains(&remark.place.file) {
            files.push(remark.place.file.clone());
        }
    }
    let mut sorted: Vec<Remark> = Vec::new();
    for remark in remarks {
        if !sorted.contains(&remark) {
            sorted.push(remark);
        }
    }
    sorted
        .sort_by_key(|remark| (files.iter().position(|file| *file == remark.place.file), remark.place.line));
    sorted
}

/// The listeners that mosquitto would open.
fn listeners(draft: &mut Draft, is_local: bool) -> Vec<ListenerDraft> {
    let mut listeners = std::mem::take(&mut draft.listeners);
    let place = draft.place.clone();
    let address = Address::Port(1883, is_local.then(|| "localhost".to_owned()));
    let default = std::mem::replace(&mut draft.default_listener, ListenerDraft::new(&place, address.clone()));
    if is_local {
        listeners.push(ListenerDraft { address, ..default });
    } else if default.is_wanted {
        if !default.is_addressed {
            let text = "this option stands before any listener, so mosquitto 2.0 opens a listener on port 1883 of every address for it; remove the table from the output if you did not mean that";
            draft.remarks.push(Remark::new(&default.place, text));
        }
        listeners.insert(0, default);
    } else {
        let security = default.security;
        let said = [
            security.allow_anonymous.map(|it| ("allow_anonymous", it.place)),
            security.acl_file.map(|it| ("acl_file", it.place)),
        ];
        draft.remarks.extend(said.into_iter().flatten().map(|(name, place)| {
            Remark::new(
                &place,
                format!("{name}: holds for no listener: with per_listener_settings it must follow one"),
            )
        }));
    }
    listeners
}

/// Two listeners at one address.
fn tell_twice(tables: &[ListenerTable], told: &mut Told) {
    let open: Vec<_> = tables.iter().filter(|table| table.closed.is_empty()).collect();
    for (index, table) in open.iter().enumerate() {
        if let Some(earlier) = open[..index].iter().find(|earlier| earlier.url == table.url) {
            let text =
                format!("listener: {} is where the listener of {} is already", table.url, earlier.place);
            told.problems.push(Remark::new(&table.place, text));
        }
    }
}
