//! The options of mosquitto.conf as data: for each, what becomes of it.
//!
//! An option is declared once, in one of the files `*_options.rs`. The sentence
//! there is what the reference shows (`docs/migrating-from-mosquitto.md`), and for an option without equivalent also
//! what the command tells about its line.

use super::lines::Line;
use super::reading::Reading;
use super::{bridge_options, general_options, listener_options, security_options};

/// An option of mosquitto.conf.
pub(super) struct MosquittoOption {
    /// Its names; the first is the usual one. One that ends in `*` stands for all that begin so.
    pub names: &'static [&'static str],
    /// The option of Dunlin it becomes, or `""`.
    pub becomes: &'static str,
    /// What is different, or why it has no equivalent and what to do.
    pub remark: &'static str,
    pub fate: Fate,
}

/// What becomes of a line.
pub(super) enum Fate {
    /// It is noted in the draft.
    Said(fn(&mut Reading, &Line) -> Result<(), String>),
    /// It needs no option here.
    Unneeded,
    /// It has no equivalent, which matters if this says so.
    Missing(fn(&Line) -> Result<bool, String>),
    /// It is about a bridge.
    Bridge,
}

/// An option that becomes another.
pub(super) const fn said(
    names: &'static [&'static str],
    becomes: &'static str,
    remark: &'static str,
    say: fn(&mut Reading, &Line) -> Result<(), String>,
) -> MosquittoOption {
    MosquittoOption { names, becomes, remark, fate: Fate::Said(say) }
}

/// An option that needs none here.
pub(super) const fn unneeded(names: &'static [&'static str], remark: &'static str) -> MosquittoOption {
    MosquittoOption { names, becomes: "", remark, fate: Fate::Unneeded }
}

/// An option that has no equivalent, whatever it says.
pub(super) const fn missing(names: &'static [&'static str], remark: &'static str) -> MosquittoOption {
    missing_if(names, remark, |_| Ok(true))
}

/// An option that has no equivalent where it says this.
pub(super) const fn missing_if(
    names: &'static [&'static str],
    remark: &'static str,
    matters: fn(&Line) -> Result<bool, String>,
) -> MosquittoOption {
    MosquittoOption { names, becomes: "", remark, fate: Fate::Missing(matters) }
}

/// An option of a bridge.
pub(super) const fn of_bridge(names: &'static [&'static str], remark: &'static str) -> MosquittoOption {
    MosquittoOption { names, becomes: "", remark, fate: Fate::Bridge }
}

/// Every option.
pub(super) fn options() -> impl Iterator<Item = &'static MosquittoOption> {
    [general_options::OPTIONS, security_options::OPTIONS, listener_options::OPTIONS, bridge_options::OPTIONS]
        .into_iter()
        .flatten()
}

/// The option of this name.
pub(super) fn find(name: &str) -> Option<&'static MosquittoOption> {
    options().find(|option| {
        option.names.iter().any(|known| match known.strip_suffix('*') {
            Some(beginning) => name.len() > beginning.len() && name.starts_with(beginning),
            None => *known == name,
        })
    })
}
