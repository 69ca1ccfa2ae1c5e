//! `dunlin dashboard`: the address of the dashboard with the token that opens it.
//!
//! The token stands behind `#`, which a browser keeps to itself: it is in no request and in no log on the way. The
//! broker is not asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use super::place::BrokerArgs;
use super::{Failure, print};
use crate::whole_file;

/// The file that a browser opens first.
const PAGE: &str = "dashboard.html";

/// The arguments of `dunlin dashboard`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dunlin dashboard --open\n  \
    dunlin dashboard --http https://broker.example:18083 --token-file token")]
pub struct DashboardArgs {
    /// Open it in a browser (xdg-open) as well
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    place: BrokerArgs,
}

impl DashboardArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let broker = self.place.find()?;
        let url = broker.token(|token| format!("{}/#token={token}", broker.url()));
        print(&format!("{url}\n"))?;
        if self.open { open(&self.directory()?.join(PAGE), &url) } else { Ok(()) }
    }

    /// Where a page for this user alone may be: the data directory, or for a broker elsewhere the session's own.
    fn directory(&self) -> Result<PathBuf, Failure> {
        let data_dir = self.place.data_dir()?.filter(|data_dir| data_dir.is_dir());
        let session = || std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        data_dir.or_else(session).ok_or_else(|| {
            let problem = "--open: there is neither a data directory (store.path) nor XDG_RUNTIME_DIR for a page that \
                           only you can read: open the address above in a browser";
            Failure::Arguments(problem.to_owned())
        })
    }
}

/// Opens a browser. Other users of the machine see command lines, so the address is in a file that is its owner's
/// alone, as the token is, and the browser is sent on from there.
fn open(page: &Path, url: &str) -> Result<(), Failure> {
    let html = format!("<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={url}\">\n");
    whole_file::replace(page, html.as_bytes(), whole_file::Mode::OwnerAlone)
        .map_err(|error| Failure::Here(format!("{}: cannot be written: {error}", page.display())))?;
    let opened = Command::new("xdg-open").arg(page).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match opened {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::Here(
            "no browser could be opened (xdg-open): open the address above in one".to_owned(),
        )),
    }
}
