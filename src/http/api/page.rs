//! Pages: how long they are, and where the next one begins.
//!
//! Where it begins is a text that means nothing to whoever asks: what it says may change from release to release.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::problem::Problem;

/// Entries of a page unless the request says how many.
const LIMIT: u32 = 100;

/// The most there can be.
const LIMIT_MAX: u32 = 1000;

/// How many entries a page has, as `limit` says.
pub fn limit(limit: Option<u32>) -> Result<usize, Problem> {
    match limit.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit as usize),
        limit => Err(Problem::bad_request(format!("limit = {limit}: must be 1 to {LIMIT_MAX}"))),
    }
}

/// Where a page begins, for `next`.
pub fn seal(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// Where `after` says that the page begins, read by `read`; `None` without it.
pub fn open<T>(after: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    let Some(after) = after.filter(|after| !after.is_empty()) else {
        return Ok(None);
    };
    let place = URL_SAFE_NO_PAD.decode(after).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let problem =
        || Problem::bad_request(format!("after = {after:?}: must be the `next` of the page before"));
    place.and_then(|place| read(&place)).map(Some).ok_or_else(problem)
}

/// A place in the tables of the workers: which worker, and which place there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TablePlace {
    pub worker: u16,
    pub index: u32,
    /// How many things at that place are behind us.
    pub skip: u32,
}

impl TablePlace {
    /// For `next`.
    pub fn seal(self) -> String {
        seal(&format!("{}.{}.{}", self.worker, self.index, self.skip))
    }

    /// From `after`; the beginning without it.
    pub fn open(after: Option<&str>) -> Result<Self, Problem> {
        let read = |text: &str| {
            let mut parts = text.split('.');
            let worker = parts.next()?.parse().ok()?;
            let index = parts.next()?.parse().ok()?;
            let skip = parts.next()?.parse().ok()?;
            parts.next().is_none().then_some(Self { worker, index, skip })
        };
        open(after, read).map(Option::unwrap_or_default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_as_it_was_and_another_text_is_refused() {
        let place = TablePlace { worker: 3, index: 70_000, skip: 12 };
        assert_eq!(TablePlace::open(Some(&place.seal())).unwrap(), place);
        assert_eq!(TablePlace::open(None).unwrap(), TablePlace::default());
        for wrong in ["x", "!!!", &seal("1.2"), &seal("1.2.3.4"), &seal("-1.2.3")] {
            assert_eq!(TablePlace::open(Some(wrong)).unwrap_err().status, 400, "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_one_to_a_thousand() {
        assert_eq!(limit(None).unwrap(), 100);
        assert_eq!(limit(Some(1000)).unwrap(), 1000);
        assert!(limit(Some(0)).unwrap_err().detail.contains("1 to 1000"));
        assert!(limit(Some(1001)).is_err());
    }
}
