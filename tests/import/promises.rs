//! What holds for every mosquitto.conf. With `DUNLIN_BLESS=1` (`cargo xtask docs`) what is recorded is written instead of
//! compared.

use std::fs;

use dunlin::import::mosquitto::{reference, translate};
use proptest::prelude::*;

use super::{Conf, accepted, every_option, lines, project};

/// Lines before an option which mosquitto wants to be there.
fn needed_by(name: &str) -> &'static str {
    match name {
        "connection" => "listener 1883\n",
        // It brings listeners of its own.
        "include_dir" => "",
        "certfile" => "listener 1883\nkeyfile /k\n",
        "keyfile" => "listener 1883\ncertfile /c\n",
        _ if name.starts_with("plugin_") || name.starts_with("auth_opt_") => {
            "plugin_load name /usr/lib/mosquitto_dynamic_security.so\nlistener 1883\n"
        }
        // What belongs to a bridge may not stand alone; the others do not mind one.
        _ => "listener 1883\nconnection cloud\n",
    }
}

#[test]
fn every_case_comes_to_what_is_recorded_beside_it() {
    let cases = project().join("tests/import/cases");
    let mut count = 0;
    for entry in fs::read_dir(&cases).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        count += 1;
        let translation = translate(path.strip_prefix(project()).unwrap(), &project())
            .unwrap_or_else(|errors| panic!("{errors}"));
        accepted(&translation);
        let project = project().display().to_string();
        for (extension, text) in [("toml", &translation.toml), ("remarks", &lines(&translation.remarks))] {
            let text = text.replace(&project, "/project");
            let recorded = path.with_extension(extension);
            if std::env::var_os("DUNLIN_BLESS").is_some() {
                fs::write(&recorded, &text).unwrap();
            }
            let found = fs::read_to_string(&recorded).unwrap_or_default();
            assert_eq!(
                found,
                text,
                "{} is something else now: cargo xtask docs writes it",
                recorded.display()
            );
        }
    }
    assert!(count > 5, "the cases are gone");
}

#[test]
fn every_option_of_mosquitto_is_understood_and_explained() {
    let page = fs::read_to_string(project().join("docs/migrating-from-mosquitto.md")).unwrap();
    for (name, value) in every_option() {
        let conf = Conf::new(&format!("{}{name} {value}\n", needed_by(&name)));
        accepted(&conf.import().unwrap_or_else(|errors| panic!("{errors}")));
        let name = if name.contains("_opt_") { "plugin_opt_*" } else { &name };
        assert!(page.contains(&format!("`{name}`")), "{name} is not in the page");
    }
}

#[test]
fn no_line_is_passed_over_in_silence() {
    // They decide what other lines mean.
    const ABOUT_OTHERS: [&str; 2] = ["per_listener_settings", "include_dir"];
    for (name, value) in every_option() {
        let before = needed_by(&name);
        let conf = Conf::new(&format!("{before}{name} {value}\n"));
        let Ok(translation) = conf.import() else { panic!("{}", conf.errors()) };
        let place = format!("mosquitto.conf:{}", before.lines().count() + 1);
        let is_told = translation.toml.contains(&place) || lines(&translation.remarks).contains(&place);
        // A bridge's lines are told with the line that begins it.
        let is_of_bridge = lines(&translation.remarks).contains(", with 1 line about it");
        assert!(is_told || is_of_bridge || ABOUT_OTHERS.contains(&&*name), "{name}: {}", translation.toml);
    }
}

#[test]
fn the_page_about_migrating_has_the_options_as_they_are() {
    let path = project().join("docs/migrating-from-mosquitto.md");
    let page = fs::read_to_string(&path).unwrap();
    let now = reference::update(&page).expect("the page says where the table belongs");
    if std::env::var_os("DUNLIN_BLESS").is_some() {
        fs::write(&path, &now).unwrap();
    } else {
        assert!(now == page, "{} is stale: run cargo xtask docs", path.display());
    }
}

/// A word that is a value of some option, or of none.
fn some_value() -> impl Strategy<Value = String> {
    let values: Vec<String> = every_option().into_iter().map(|(_, value)| value).collect();
    prop_oneof![
        4 => prop::sample::select(values),
        2 => prop::sample::select(vec!["0", "-1", "1", "2147483647", "true", "false", "localhost", "none", "\"'\\", "#", "é\u{7f}"])
            .prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
    ]
}

fn some_line() -> impl Strategy<Value = String> {
    let mut names: Vec<String> = every_option().into_iter().map(|(name, _)| name).collect();
    // Listeners more often, or all would be about the default one.
    names.extend(std::iter::repeat_n("listener".to_owned(), 10));
    (prop::sample::select(names), some_value(), prop::bool::weighted(0.8)).prop_map(|(name, value, usual)| {
        let own = every_option().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        format!("{name} {}", own.filter(|_| usual).unwrap_or(value))
    })
}

proptest! {
    #[test]
    fn whatever_a_file_says_the_output_is_a_configuration_or_there_is_none(
        lines in prop::collection::vec(some_line(), 1..20),
    ) {
        let conf = Conf::new(&lines.join("\n"));
        match conf.import() {
            Ok(translation) => drop(accepted(&translation)),
            Err(errors) => prop_assert!(errors.0.iter().all(|error| !error.text.is_empty())),
        }
    }
}
