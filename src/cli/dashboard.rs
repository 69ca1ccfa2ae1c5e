//! `dunlin dashboard`: the address of the dashboard with the token that opens it, for the user of the broker on the
//! same machine.
//!
//! The token stands behind `#`, which a browser keeps to itself: it is in no request and in no log on the way.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use super::bad_configuration;
use super::operations_port::{BrokerPlace, OperationsPort};
use crate::http::ApiToken;
use crate::whole_file;

/// The file in the data directory that a browser opens first.
const PAGE: &str = "dashboard.html";

/// How the dashboard is to be reached.
#[derive(Debug, Args)]
pub struct DashboardArgs {
    #[command(flatten)]
    place: BrokerPlace,
    /// Open it in a browser (xdg-open) as well
    #[arg(long)]
    open: bool,
}

impl DashboardArgs {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let config = match self.place.load() {
            Ok(config) => config,
            Err(errors) => return bad_configuration(&errors),
        };
        let problem = |text: String| {
            eprintln!("dunlin: {text}");
            ExitCode::FAILURE
        };
        let port = match OperationsPort::of(&config) {
            Ok(port) => port,
            Err(text) => return problem(text),
        };
        let url = format!("{}/#token={}", port.url(), port.token().map_or("", ApiToken::as_str));
        println!("{url}");
        if self.open
            && let Some(data_dir) = &config.store.path
            && let Err(text) = open(data_dir, &url)
        {
            return problem(text);
        }
        ExitCode::SUCCESS
    }
}

/// Opens a browser. Other users of the machine see command lines, so the address is in a file that is its owner's
/// alone, as the token is, and the browser is sent on from there.
fn open(data_dir: &Path, url: &str) -> Result<(), String> {
    let page = data_dir.join(PAGE);
    let html = format!("<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={url}\">\n");
    whole_file::replace(&page, html.as_bytes(), whole_file::Mode::OwnerAlone)
        .map_err(|error| format!("{}: cannot be written: {error}", page.display()))?;
    let opened = Command::new("xdg-open").arg(&page).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match opened {
        Ok(status) if status.success() => Ok(()),
        _ => Err("no browser could be opened (xdg-open): open the address above in one".to_owned()),
    }
}
