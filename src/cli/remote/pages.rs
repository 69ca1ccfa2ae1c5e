//! Lists that the API gives page by page, put together.

use serde_json::{Map, Value};

use super::broker::{encode, understood};
use super::{Broker, Failure};
use crate::progress::Progress;

/// The most entries of a page.
const PAGE_MAX: usize = 1000;

/// A list that is asked for.
pub(super) struct Listing<'a> {
    pub path: &'a str,
    /// The member of the answer that has the entries; also what they are called.
    pub member: &'static str,
    /// The parameters that say which entries.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Not more entries than this.
    pub limit: usize,
}

impl Listing<'_> {
    /// The answer to the last page, with the entries of all.
    pub fn collect(&self, broker: &Broker) -> Result<Map<String, Value>, Failure> {
        let mut entries = Vec::new();
        let mut after = None::<String>;
        let mut progress = None::<Progress>;
        loop {
            let size = PAGE_MAX.min(self.limit - entries.len());
            let mut answer: Map<String, Value> = broker.read(&self.page(size, after.as_deref()))?;
            let Some(Value::Array(page)) = answer.remove(self.member) else {
                return Err(Failure::Unreachable(format!(
                    "the answer has no {:?}: is the broker of another version?",
                    self.member
                )));
            };
            let more = page.len() as u64;
            entries.extend(page);
            if let Some(matched) = answer.get("matched").and_then(Value::as_u64) {
                let total = matched.min(self.limit as u64);
                progress.get_or_insert_with(|| Progress::of(total, self.member)).add(more);
            }
            after = answer.get("next").and_then(Value::as_str).map(str::to_owned);
            if after.is_none() || entries.len() >= self.limit {
                answer.insert(self.member.to_owned(), Value::Array(entries));
                return Ok(answer);
            }
        }
    }

    fn page(&self, size: usize, after: Option<&str>) -> String {
        let mut path = format!("{}?limit={size}", self.path);
        for (name, value) in self.parameters.iter().copied().chain(after.map(|after| ("after", after))) {
            path.push_str(&format!("&{name}={}", encode(value)));
        }
        path
    }
}

/// The entries, read.
pub(super) fn entries<T: serde::de::DeserializeOwned>(
    answer: &Map<String, Value>,
    member: &str,
) -> Result<Vec<T>, Failure> {
    understood(&answer.get(member).unwrap_or(&Value::Null).to_string())
}

/// Whether there are more than what was asked for.
pub(super) fn has_more(answer: &Map<String, Value>) -> bool {
    answer.get("next").is_some_and(Value::is_string)
}
