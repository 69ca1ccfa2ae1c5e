//! The receiving half of a Session: QoS 2 publications taken in and not released yet.
//!
//! Until PUBREL, a PUBLISH with the same Packet Identifier is the same message and is only acknowledged again
//! ([MQTT-4.3.3-10]). The set survives the connection.

use dunlin_codec::PacketIdentifier;

/// Packet Identifiers between PUBLISH and PUBREL. Sorted; usually a handful.
#[derive(Debug, Default)]
pub struct Inbound {
    received: Vec<PacketIdentifier>,
}

impl Inbound {
    /// Nothing.
    pub const NONE: Self = Self { received: Vec::new() };

    /// Whether this identifier's message was taken in already.
    pub fn contains(&self, packet_identifier: PacketIdentifier) -> bool {
        self.received.binary_search(&packet_identifier).is_ok()
    }

    /// Takes a message in.
    pub fn insert(&mut self, packet_identifier: PacketIdentifier) {
        if let Err(position) = self.received.binary_search(&packet_identifier) {
            self.received.insert(position, packet_identifier);
        }
    }

    /// PUBREL: the identifier means a new message from now on. False if there was none.
    pub fn remove(&mut self, packet_identifier: PacketIdentifier) -> bool {
        match self.received.binary_search(&packet_identifier) {
            Ok(position) => {
                self.received.remove(position);
                if self.received.is_empty() {
                    self.received = Vec::new();
                }
                true
            }
            Err(_) => false,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = PacketIdentifier> {
        self.received.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }
}
