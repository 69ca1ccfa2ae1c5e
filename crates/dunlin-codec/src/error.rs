//! What decoding answers when a packet is wrong.
//!
//! A violation is a value: the Reason Code that MQTT 5.0 wants to be sent back, the statement that was
//! violated, and a fragment of a sentence for logs and Reason Strings. It borrows nothing, allocates nothing,
//! and is made on cold paths only. MQTT 3.x has no way to send any of it; there the connection is closed
//! ([MQTT-4.8.0-1] of 3.1.1).
//!
//! The specification tells two kinds apart (section 1.2): a Malformed Packet (0x81) cannot be parsed as
//! section 2 and 3 lay it out; a Protocol Error (0x82) can, and then holds what the protocol does not allow.
//! Some fields have codes of their own (0x8F, 0x90, 0x94, 0x95).

use std::fmt;

use crate::ReasonCode;

/// Why a packet is refused: everything that one packet alone shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedPacket {
    /// 0x81, 0x82, or the more specific code that the specification names for this violation.
    pub reason_code: ReasonCode,
    /// The violated statement of MQTT 5.0, such as `MQTT-3.3.1-4`, or a section number where no statement
    /// has an id. Statements that only 3.1.1 has are marked so.
    pub statement: &'static str,
    /// A sentence fragment without a full stop, such as `the Topic Name contains a wildcard`.
    pub detail: &'static str,
}

impl MalformedPacket {
    pub(crate) const fn new(reason_code: ReasonCode, statement: &'static str, detail: &'static str) -> Self {
        Self { reason_code, statement, detail }
    }

    pub(crate) const fn malformed(statement: &'static str, detail: &'static str) -> Self {
        Self::new(ReasonCode::MalformedPacket, statement, detail)
    }

    pub(crate) const fn protocol_error(statement: &'static str, detail: &'static str) -> Self {
        Self::new(ReasonCode::ProtocolError, statement, detail)
    }
}

impl fmt::Display for MalformedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.detail, self.statement)
    }
}

impl std::error::Error for MalformedPacket {}
