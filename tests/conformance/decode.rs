//! Packets from the Server, as fields.
//!
//! The decoder is strict: flags, lengths and properties must be as the specification says, nothing may be
//! left over, and a packet that only a Client sends is refused. Whatever it finds wrong is the Server's
//! mistake.

use crate::packet::{KINDS, Packet, Version};
use crate::tables::{Layout, RETURN_CODES, property_with};
use crate::value::Value;

/// The length of the first packet in `bytes`, once it is there whole.
// spec(v5): [MQTT-1.5.5-1]
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut length = 0;
    for (place, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            if *byte == 0 && place > 0 {
                return Err("the Remaining Length is not minimal".to_owned());
            }
            let whole = 2 + place + length;
            return Ok((bytes.len() >= whole).then_some(whole));
        }
    }
    if bytes.len() > 4 { Err("the Remaining Length has no end".to_owned()) } else { Ok(None) }
}

/// The fields of one whole packet.
// spec(v5): [MQTT-2.1.3-1] [MQTT-2.2.2-1]
// spec(v3.1.1): [MQTT-2.2.2-1]
pub fn decode(frame: &[u8], version: Version) -> Result<Packet, String> {
    let header = 1 + frame[1..].iter().position(|byte| byte & 0x80 == 0).ok_or("no Remaining Length")? + 1;
    let (kind, flags) = (usize::from(frame[0] >> 4), frame[0] & 0x0F);
    let name = *kind.checked_sub(1).and_then(|kind| KINDS.get(kind)).ok_or("packet type 0")?;
    let reader = Reader { rest: &frame[header..] };
    let mut decoder = Decoder { packet: Packet::new(name), reader, version };
    let expected_flags = match name {
        "PUBREL" => 0b0010,
        "PUBLISH" => flags,
        _ => 0,
    };
    if flags != expected_flags {
        return Err(format!("{name} with header flags {flags:04b}"));
    }
    match name {
        "CONNACK" => decoder.connack()?,
        "PUBLISH" => decoder.publish(flags)?,
        "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP" => {
            decoder.id()?;
            decoder.reason_and_properties()?;
        }
        "SUBACK" | "UNSUBACK" => decoder.reasons(name)?,
        "PINGRESP" => {}
        "DISCONNECT" | "AUTH" if version == Version::V5 => decoder.reason_and_properties()?,
        _ => return Err(format!("{name} from a Server in {version}")),
    }
    match decoder.reader.rest {
        [] => Ok(decoder.packet),
        rest => Err(format!("{name} with {} bytes left over", rest.len())),
    }
}

struct Decoder<'a> {
    packet: Packet,
    reader: Reader<'a>,
    version: Version,
}

impl Decoder<'_> {
    fn push(&mut self, name: &str, value: Value) {
        self.packet.fields.push((name.to_owned(), value));
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.push(name, Value::Number(1));
        }
    }

    fn reason(&mut self, code: u8) {
        if code != 0 {
            self.push("reason", Value::Reason(code));
        }
    }

    // spec(v5): [MQTT-3.2.2-1]
    fn connack(&mut self) -> Result<(), String> {
        let flags = self.reader.byte()?;
        if flags > 1 || (flags == 1 && self.version == Version::V3_1) {
            return Err(format!("CONNACK with acknowledge flags {flags:08b}"));
        }
        self.flag("session_present", flags == 1);
        let code = self.reader.byte()?;
        if self.version == Version::V5 {
            self.reason(code);
            return self.properties();
        }
        self.reason(*RETURN_CODES.get(usize::from(code)).ok_or_else(|| format!("return code {code}"))?);
        Ok(())
    }

    fn publish(&mut self, flags: u8) -> Result<(), String> {
        let topic = self.reader.text()?;
        self.push("topic", Value::Text(topic));
        let qos = flags >> 1 & 0b11;
        if qos == 3 || (qos == 0 && flags & 0b1000 != 0) {
            return Err(format!("PUBLISH with header flags {flags:04b}"));
        }
        if qos > 0 {
            self.push("qos", Value::Number(u64::from(qos)));
            self.id()?;
        }
        self.flag("dup", flags & 0b1000 != 0);
        self.flag("retain", flags & 1 != 0);
        if self.version == Version::V5 {
            self.properties()?;
        }
        let payload = std::mem::take(&mut self.reader.rest);
        if !payload.is_empty() {
            self.packet.fields.insert(1, ("payload".to_owned(), Value::Text(payload.to_vec())));
        }
        Ok(())
    }

    // spec(v5): [MQTT-2.2.1-4]
    // spec(v3.1.1): [MQTT-2.3.1-1]
    fn id(&mut self) -> Result<(), String> {
        match self.reader.number(2)? {
            0 => Err("a Packet Identifier of 0".to_owned()),
            id => {
                self.push("id", Value::Number(id));
                Ok(())
            }
        }
    }

    fn reasons(&mut self, name: &str) -> Result<(), String> {
        self.id()?;
        if self.version == Version::V5 {
            self.properties()?;
        }
        let codes = std::mem::take(&mut self.reader.rest);
        if self.version == Version::V5 || name == "SUBACK" {
            self.push("reasons", Value::Reasons(codes.to_vec()));
        } else if !codes.is_empty() {
            return Err("UNSUBACK with a payload".to_owned());
        }
        Ok(())
    }

    fn reason_and_properties(&mut self) -> Result<(), String> {
        if self.version == Version::V5 && !self.reader.rest.is_empty() {
            let code = self.reader.byte()?;
            self.reason(code);
            if !self.reader.rest.is_empty() {
                self.properties()?;
            }
        }
        Ok(())
    }

    fn properties(&mut self) -> Result<(), String> {
        let length = self.reader.variable_byte_integer()?;
        let mut block = Reader { rest: self.reader.take(length)? };
        while !block.rest.is_empty() {
            let identifier = block.byte()?;
            let (name, layout) = property_with(identifier)
                .ok_or_else(|| format!("a property with identifier {identifier:#04x}"))?;
            let value = match layout {
                Layout::Byte => Value::Number(block.number(1)?),
                Layout::TwoBytes => Value::Number(block.number(2)?),
                Layout::FourBytes => Value::Number(block.number(4)?),
                Layout::VariableByteInteger => Value::Number(block.variable_byte_integer()? as u64),
                Layout::Text => Value::Text(block.text()?),
                Layout::Binary => Value::Text(block.binary()?),
                Layout::TextPair => Value::Pair(block.text()?, block.text()?),
            };
            if name != "user_property" && name != "subscription_identifier" && self.packet.get(name).is_some()
            {
                return Err(format!("the property {name} twice"));
            }
            self.push(name, value);
        }
        Ok(())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("a packet that ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self, length: usize) -> Result<u64, String> {
        Ok(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn binary(&mut self) -> Result<Vec<u8>, String> {
        let length = self.number(2)? as usize;
        Ok(self.take(length)?.to_vec())
    }

    // spec(v5): [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1]
    fn text(&mut self) -> Result<Vec<u8>, String> {
        let text = self.binary()?;
        match std::str::from_utf8(&text) {
            Ok(valid) if !valid.contains('\0') => Ok(text),
            _ => Err("a text that is no valid string".to_owned()),
        }
    }

    // spec(v5): [MQTT-1.5.5-1]
    fn variable_byte_integer(&mut self) -> Result<usize, String> {
        let mut number = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                return if byte == 0 && place > 0 {
                    Err("a number that is not minimal".to_owned())
                } else {
                    Ok(number)
                };
            }
        }
        Err("a number of more than four bytes".to_owned())
    }
}
