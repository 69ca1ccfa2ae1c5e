//! What the broker says of itself in numbers: one gathering, three ways to tell it.
//!
//! [`Figures`] are gathered from the workers when somebody asks, and not more often than once a second. From them come
//! `/metrics` in Prometheus' text format, the same as JSON for the API, and the topics below `$SYS/broker`. Every
//! metric is declared once, in `declared.rs`; the reference (`docs/metrics.md`) is generated from there.
//!
//! What must stay true: a label has a bounded number of values (never a client, a topic or an address), and
//! gathering costs workers short visits only.

mod declared;
mod family;
mod exposition;
mod census;
mod figures;
mod collect;
mod load;
mod sys_topics;
mod reference;

pub use census::Census;
pub(crate) use collect::families;
pub use declared::{DECLARED, Declared};
pub use exposition::{CONTENT_TYPE, exposition};
pub use family::{Buckets, Family, Kind, Sample, Value};
pub(crate) use figures::LastFigures;
pub use figures::{Figures, WorkerFigures};
pub use reference::markdown;
pub use sys_topics::publish_sys_topics;
