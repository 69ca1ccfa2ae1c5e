//! `dunlin reload`: the broker reads its configuration again, and says what that could not change.

use clap::Args;
use serde::Deserialize;
use ureq::http::Method;

use super::broker::understood;
use super::{Asking, Failure, print, text};

/// The arguments of `dunlin reload`.
#[derive(Debug, Args)]
#[command(
    after_help = "A configuration that is wrong changes nothing; exit status 1, and standard error says why.\n\n\
    Example:\n  dunlin reload"
)]
pub struct ReloadArgs {
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Default, Deserialize)]
struct Reloaded {
    changed: Vec<String>,
    need_restart: Vec<String>,
}

impl ReloadArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = self.asking.place.find()?.ask(Method::POST, "/api/v1/config/reload", None)?;
        if self.asking.json {
            return print(&format!("{}\n", answer.trim_end()));
        }
        print(&understood::<Reloaded>(&answer)?.describe())
    }
}

impl Reloaded {
    fn describe(&self) -> String {
        let line = |what: &str, names: &[String]| match names {
            [] => String::new(),
            names => format!(
                "{what}: {}\n",
                names.iter().map(|name| text::shown(name)).collect::<Vec<_>>().join(", ")
            ),
        };
        let changed = line("changed", &self.changed);
        format!("configuration reloaded\n{changed}{}", line("needs a restart", &self.need_restart))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named() {
        assert_eq!(Reloaded::default().describe(), "configuration reloaded\n");
        let need_restart = vec!["server.workers".to_owned(), "store.path".to_owned()];
        let described = Reloaded { need_restart, ..Reloaded::default() }.describe();
        assert!(described.ends_with("\nneeds a restart: server.workers, store.path\n"), "{described}");
    }
}
