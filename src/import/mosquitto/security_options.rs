//! The options of mosquitto.conf about who may connect and do what. They hold for all listeners, or each for the listener
//! before it where `per_listener_settings` says so.

use super::draft::Written;
use super::lines::Line;
use super::reading::Reading;
use super::table::{MosquittoOption, missing, missing_if, said, unneeded};
use super::value::{flag, text};

pub(super) static OPTIONS: &[MosquittoOption] = &[
    said(
        &["per_listener_settings"],
        "listener.auth",
        "Each listener then has an auth table of its own.",
        |reading, line| {
            reading.draft.per_listener |= flag(line)?;
            Ok(())
        },
    ),
    said(
        &["allow_anonymous"],
        "auth.allow_anonymous",
        "Written in any case: false where there is a listener and the line is missing, as in mosquitto. Where no listener is configured, only this machine can connect, and anonymous clients may unless the line says false.",
        |reading, line| {
            reading.security().allow_anonymous = Some(Written::new(flag(line)?, &line.place));
            Ok(())
        },
    ),
    said(
        &["password_file"],
        "auth.password_file",
        "The same file, by its absolute path. A line that Dunlin does not understand keeps it from loading the file, so such lines are told.",
        |reading, line| {
            let path = Written::new(reading.path(line)?, &line.place);
            reading.security_with_users().password_file = Some(path);
            Ok(())
        },
    ),
    said(
        &["acl_file"],
        "auth.acl_file",
        "The same file, by its absolute path. A line that Dunlin does not understand keeps it from loading the file, so such lines are told.",
        |reading, line| {
            let path = Written::new(reading.path(line)?, &line.place);
            reading.security().acl_file = Some(path);
            Ok(())
        },
    ),
    unneeded(&["psk_file"], "Pre-shared keys have no equivalent: see psk_hint."),
    said(
        &["plugin", "auth_plugin", "global_plugin"],
        "",
        "Plugins cannot be loaded. mosquitto_password_file and mosquitto_acl_file become auth.password_file and auth.acl_file, mosquitto_persist_sqlite is persistence true. Any other keeps the listeners that it decides about closed: auth.http, auth.jwt or files can take its place (docs/security.md).",
        |reading, line| reading.begin_plugin(line, None),
    ),
    said(
        &["plugin_load"],
        "",
        "As plugin, for the listeners that name it with plugin_use.",
        |reading, line| {
            let (name, path) =
                line.value.split_once(' ').ok_or("must have a name and the path of a plugin")?;
            let line = Line { value: path.trim().to_owned(), ..line.clone() };
            reading.begin_plugin(&line, Some(name.to_owned()))
        },
    ),
    said(&["plugin_use"], "", "See plugin.", Reading::use_plugin),
    said(
        &["plugin_opt_*", "auth_opt_*"],
        "",
        "plugin_opt_password_file and plugin_opt_acl_file are understood; others are part of a plugin that has no equivalent.",
        Reading::plugin_option,
    ),
    unneeded(&["auth_plugin_deny_special_chars"], "Part of a plugin that has no equivalent."),
    said(
        &["clientid_prefixes"],
        "",
        "All listeners stay closed: client identifiers cannot be limited to a prefix. auth.client_identifier ties them to user names.",
        |reading, line| {
            text(line)?;
            reading.close_all(line, "client identifiers cannot be limited to a prefix; auth.client_identifier can tie them to user names");
            Ok(())
        },
    ),
    missing_if(
        &["allow_zero_length_clientid"],
        "Clients without a client identifier are given one all the same.",
        |line| Ok(!flag(line)?),
    ),
    missing(
        &["auto_id_prefix"],
        "Client identifiers that Dunlin gives have no prefix of your own; rules should not rely on it.",
    ),
    missing_if(
        &["check_retain_source"],
        "Retained messages whose publisher has lost the right to publish them are not shown, whatever this says.",
        |line| Ok(!flag(line)?),
    ),
    missing_if(
        &["enable_control_api"],
        "There is no $CONTROL; the command line and the operations port take its place.",
        flag,
    ),
];
