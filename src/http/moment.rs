//! Points in time as the API tells them: RFC 3339, UTC, to the millisecond.

use std::fmt;
use std::time::SystemTime;

use dunlin_core::time::Timestamp;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

/// A point in time; displays as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Moment(OffsetDateTime);

impl Moment {
    /// How many whole days there are from `now` until then; negative once it has passed.
    pub fn days_from(self, now: SystemTime) -> i64 {
        (self.0 - OffsetDateTime::from(now)).whole_seconds().div_euclid(24 * 60 * 60)
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        let nanos = i128::from(at.as_micros()) * 1000;
        // Beyond the year 9999 nothing can be said in RFC 3339, and nothing happens.
        Self(OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }
}

impl From<SystemTime> for Moment {
    fn from(at: SystemTime) -> Self {
        Self(at.into())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.millisecond();
        let rounded = self.0.replace_millisecond(milliseconds).unwrap_or(self.0);
        f.write_str(&rounded.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_moment_is_told_in_utc_to_the_millisecond() {
        let moment = Moment::from(Timestamp::from_micros(1_700_000_000_123_456));
        assert_eq!(moment.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(serde_json::to_string(&moment).unwrap(), "\"2023-11-14T22:13:20.123Z\"");
        assert_eq!(Moment::from(SystemTime::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn days_are_whole_and_negative_once_it_is_over() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let day = Duration::from_secs(24 * 60 * 60);
        let left = |at: SystemTime| Moment::from(at).days_from(now);
        assert_eq!(left(now + 3 * day), 3);
        assert_eq!(left(now + day - Duration::from_secs(1)), 0);
        assert_eq!(left(now - Duration::from_secs(1)), -1);
    }
}
