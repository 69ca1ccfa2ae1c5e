//! Who somebody is: client identifiers, and the partition that a client identifier belongs to.

use crate::time::Timestamp;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

/// A ClientID (5.0 section 3.1.3.1): names a Session. Not empty; at most 65,535 bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientIdentifier(Arc<str>);

impl ClientIdentifier {
    /// A client identifier; `None` when empty.
    pub fn new(identifier: &str) -> Option<Self> {
        (!identifier.is_empty()).then(|| Self(Arc::from(identifier)))
    }

    /// An identifier for a client that brought none, from 80 random bits, in the characters every Server must
    /// accept.
    // spec(v5): [MQTT-3.1.3-6] [MQTT-3.2.2-16]
    // spec(v3.1.1): [MQTT-3.1.3-6]
    pub fn assigned(random: u128) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let mut identifier = String::from("auto");
        for position in 0..16 {
            let digit = (random >> (position * 5)) as usize & 31;
            identifier.push(ALPHABET.get(digit).copied().unwrap_or(b'0') as char);
        }
        Self(Arc::from(identifier))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number that stands for the identifier where its text would cost too much.
    pub fn hash(&self) -> u64 {
        hash(&self.0)
    }
}

impl fmt::Debug for ClientIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ClientIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A shard's number, 0 to N - 1.
pub type ShardId = u16;

/// The shard that owns what `text` names: a Session by its client identifier, a shared group by its
/// `$share/...` filter.
///
/// A pure function of the text and the number of shards, the same on every shard and in every life of the
/// process.
pub fn partition(text: &str, shards: u16) -> ShardId {
    (hash(text) % u64::from(shards.max(1))) as ShardId
}

fn hash(text: &str) -> u64 {
    foldhash::quality::FixedState::with_seed(0x4475_6e6c_696e).hash_one(text)
}

/// Who a client turned out to be, for authorisation and logs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// The User Name that was verified, or that enhanced authentication or a certificate gave; none for
    /// anonymous clients.
    pub user_name: Option<Box<str>>,
    /// What the [`Authorizer`](crate::authorize::Authorizer) must know of the client beside its name, in its own
    /// words. The core keeps it with the Session, also in the store, and never looks into it.
    pub policy: Option<Box<str>>,
    /// Until when the client is who it said: the connection ends then (0x87) unless it says so again.
    pub valid_until: Option<Timestamp>,
}

impl Identity {
    /// To be kept: all who are nobody in particular share one.
    pub fn into_shared(self) -> Arc<Self> {
        static NOBODY: LazyLock<Arc<Identity>> = LazyLock::new(Arc::default);
        if self == **NOBODY { Arc::clone(&NOBODY) } else { Arc::new(self) }
    }
}
