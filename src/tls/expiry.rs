//! What ends by itself, and telling so in time.
//!
//! A certificate that has expired stops every client at once, so its end is told once a day from thirty days
//! ahead. A list of revoked certificates is renewed far more often, and is told of on its last day. Whether
//! there is something to tell depends on the time alone, which comes from outside.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::x509::{Certificate, RevocationList};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long ahead the end of a certificate is told.
const CERTIFICATE_AHEAD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long ahead the end of a list of revoked certificates is told.
const REVOCATION_LIST_AHEAD: Duration = DAY;

/// One thing in a file that ends at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expiry {
    /// The file.
    pub path: PathBuf,
    /// What ends.
    pub what: Expiring,
    /// The subject of a certificate, the issuer of a list, as RFC 4514 writes it.
    pub subject: String,
    /// The last moment at which it is valid.
    pub not_after: SystemTime,
}

/// What ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expiring {
    /// A certificate: of the server, of one of its intermediates, or of an authority for clients.
    Certificate,
    /// A list of revoked certificates.
    RevocationList,
}

/// How near an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Far away.
    Long,
    /// Near: this many whole days are left.
    Ending {
        /// 0 on the last day.
        days_left: u64,
    },
    /// It is over.
    Ended,
}

impl Expiry {
    pub(super) fn of_certificate(path: &Path, certificate: &Certificate<'_>) -> Self {
        let (subject, not_after) = (certificate.subject(), certificate.not_after());
        Self { path: path.to_owned(), what: Expiring::Certificate, subject, not_after }
    }

    /// A list without a next one never ends.
    pub(super) fn of_revocation_list(path: &Path, list: RevocationList) -> Option<Self> {
        let (path, subject) = (path.to_owned(), list.issuer);
        let of = |not_after| Self { path, what: Expiring::RevocationList, subject, not_after };
        list.next_update.map(of)
    }

    /// How near its end is.
    pub fn validity(&self, now: SystemTime) -> Validity {
        let ahead = match self.what {
            Expiring::Certificate => CERTIFICATE_AHEAD,
            Expiring::RevocationList => REVOCATION_LIST_AHEAD,
        };
        match self.not_after.duration_since(now) {
            Err(_) => Validity::Ended,
            Ok(left) if left > ahead => Validity::Long,
            Ok(left) => Validity::Ending { days_left: left.as_secs() / DAY.as_secs() },
        }
    }

    /// Writes it to the log.
    pub(super) fn tell(&self, validity: Validity) {
        let Self { path, what, subject, .. } = self;
        match (validity, what) {
            (Validity::Long, _) => {}
            (Validity::Ending { days_left }, Expiring::Certificate) => {
                tracing::warn!(file = ?path, subject, days_left, "a certificate expires soon");
            }
            (Validity::Ending { .. }, Expiring::RevocationList) => {
                tracing::warn!(
                    file = ?path, issuer = subject,
                    "a list of revoked certificates expires within a day; without a newer one, clients of this authority are refused then"
                );
            }
            (Validity::Ended, Expiring::Certificate) => {
                tracing::error!(file = ?path, subject, "a certificate has expired");
            }
            (Validity::Ended, Expiring::RevocationList) => {
                tracing::error!(
                    file = ?path, issuer = subject,
                    "a list of revoked certificates has expired: clients of this authority are refused"
                );
            }
        }
    }
}

/// What the log has been told, so that it is told once a day.
#[derive(Debug, Default)]
pub struct ExpiryLog {
    /// Whether it was said to have ended, and when that was.
    told: HashMap<Expiry, (bool, SystemTime)>,
}

impl ExpiryLog {
    /// Of all that there is, what the log should be told now: what is near its end and was not told of for a day,
    /// and what has ended since.
    pub fn due(
        &mut self,
        expiries: impl IntoIterator<Item = Expiry>,
        now: SystemTime,
    ) -> Vec<(Expiry, Validity)> {
        let before = std::mem::take(&mut self.told);
        let mut due = Vec::new();
        for expiry in expiries {
            let validity = expiry.validity(now);
            let is_over = validity == Validity::Ended;
            if validity == Validity::Long || self.told.contains_key(&expiry) {
                continue;
            }
            let told = before.get(&expiry).filter(|(was_over, at)| {
                *was_over == is_over && now.duration_since(*at).is_ok_and(|since| since < DAY)
            });
            match told {
                Some(told) => self.told.insert(expiry, *told),
                None => {
                    due.push((expiry.clone(), validity));
                    self.told.insert(expiry, (is_over, now))
                }
            };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// Some time; what counts is how far others are from it.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    fn ending(what: Expiring, not_after: SystemTime) -> Expiry {
        Expiry { path: "server.pem".into(), what, subject: "CN=server".to_owned(), not_after }
    }

    #[test]
    fn the_end_of_a_certificate_is_near_from_thirty_days_ahead() {
        let validity = |not_after| ending(Expiring::Certificate, not_after).validity(now());
        assert_eq!(validity(now() + 31 * DAY), Validity::Long);
        assert_eq!(validity(now() + 30 * DAY), Validity::Ending { days_left: 30 });
        assert_eq!(validity(now() + 30 * DAY - HOUR), Validity::Ending { days_left: 29 });
        assert_eq!(validity(now() + HOUR), Validity::Ending { days_left: 0 });
        assert_eq!(validity(now()), Validity::Ending { days_left: 0 });
        assert_eq!(validity(now() - Duration::from_secs(1)), Validity::Ended);
    }

    #[test]
    fn the_end_of_a_revocation_list_is_near_on_its_last_day() {
        let validity = |not_after| ending(Expiring::RevocationList, not_after).validity(now());
        assert_eq!(validity(now() + DAY + HOUR), Validity::Long);
        assert_eq!(validity(now() + 5 * HOUR), Validity::Ending { days_left: 0 });
        assert_eq!(validity(now() - HOUR), Validity::Ended);
    }

    #[test]
    fn what_is_near_its_end_is_told_once_a_day_and_at_once_when_it_has_ended() {
        let mut log = ExpiryLog::default();
        let mut told = |left: Duration| {
            // Time passes, and the end stays where it is.
            let end = now() + 3 * DAY;
            let due = log.due([ending(Expiring::Certificate, end)], end - left);
            due.into_iter().map(|(_, validity)| validity).collect::<Vec<_>>()
        };
        assert_eq!(told(3 * DAY), [Validity::Ending { days_left: 3 }]);
        assert_eq!(told(3 * DAY - HOUR), []);
        assert_eq!(told(2 * DAY), [Validity::Ending { days_left: 2 }]);
        assert_eq!(told(DAY), [Validity::Ending { days_left: 1 }]);
        assert_eq!(told(HOUR), []);
        let mut told_after = |since: Duration| {
            let end = now() + 3 * DAY;
            let due = log.due([ending(Expiring::Certificate, end)], end + since);
            due.into_iter().map(|(_, validity)| validity).collect::<Vec<_>>()
        };
        assert_eq!(told_after(HOUR), [Validity::Ended]);
        assert_eq!(told_after(2 * HOUR), []);
        assert_eq!(told_after(DAY + HOUR), [Validity::Ended]);
    }

    #[test]
    fn two_listeners_with_the_same_certificate_are_one_line() {
        let expiry = ending(Expiring::Certificate, now() + DAY);
        assert_eq!(ExpiryLog::default().due([expiry.clone(), expiry], now()).len(), 1);
    }
}
