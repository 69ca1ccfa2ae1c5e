//! The log.

use super::{Disk, StoreOptions};

/// The log.
pub struct Log<D: Disk> {
    pub(super) disk: D,
    pub(super) options: StoreOptions,
}
