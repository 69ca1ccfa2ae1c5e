//! What becomes of plugins: those that only read a file become that file, others keep closed what they decided about.

use std::path::PathBuf;

use super::Remark;
use super::draft::{Draft, Plugin, PluginUser, Security, Written};

/// What becomes of a plugin.
pub(super) fn settle(draft: &mut Draft, plugin: &Plugin) {
    if plugin.users.is_empty() {
        draft.unneeded.push(Remark::new(&plugin.place, "plugin_load: no listener uses it"));
    }
    draft.unneeded.extend(plugin.options.iter().map(|name| {
        Remark::new(&name.place, format!("{}: part of a plugin that has no equivalent", name.value))
    }));
    if let Some(option) = plugin.reads() {
        return plugin.users.iter().for_each(|user| name_file(draft, option, plugin.file.as_ref(), user));
    }
    if plugin.library() == "mosquitto_persist_sqlite" {
        draft.persistence.get_or_insert(Written::new(true, &plugin.place));
        return;
    }
    for user in &plugin.users {
        let text = "plugin: cannot be loaded; auth.http, auth.jwt or files can take the place of one that decides about clients (docs/security.md)";
        decided_by(draft, user.value).1.push(Remark::new(&user.place, text));
    }
}

/// A plugin that reads a file, which Dunlin does by itself.
fn name_file(draft: &mut Draft, option: &str, said: Option<&Written<PathBuf>>, user: &Written<PluginUser>) {
    let (security, closed) = decided_by(draft, user.value);
    let is_rules = option == "acl_file";
    let file = if is_rules { &mut security.acl_file } else { &mut security.password_file };
    let another = format!(
        "plugin_opt_{option}: there is another {option} already, and Dunlin takes one for each listener; put both into one"
    );
    match said {
        None => closed.push(Remark::new(&user.place, format!("plugin: needs plugin_opt_{option}"))),
        Some(said) if file.is_none() => *file = Some(said.clone()),
        // Without these rules, more would be allowed; without these users, fewer are admitted.
        Some(said) if is_rules => closed.push(Remark::new(&said.place, another)),
        Some(said) => draft.remarks.push(Remark::new(&said.place, another)),
    }
}

/// What a plugin decides about, and what keeps that closed.
fn decided_by(draft: &mut Draft, user: PluginUser) -> (&mut Security, &mut Vec<Remark>) {
    let listener = match user {
        PluginUser::Everybody => return (&mut draft.security, &mut draft.closed),
        PluginUser::DefaultListener => &mut draft.default_listener,
        PluginUser::Listener(index) => &mut draft.listeners[index],
    };
    (&mut listener.security, &mut listener.closed)
}
