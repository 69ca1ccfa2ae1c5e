//! Packets to send, as bytes.
//!
//! Nothing is judged here: a script may send any property in any packet, QoS 3, or an empty filter, to see
//! how the Server takes it. What is no packet at all a script sends as `bytes`.

use crate::packet::{Packet, Version, will_property};
use crate::tables::{Layout, property};
use crate::value::{Value, Variables};

/// The bytes of `packet` from the client that the script calls `client`, in `version`. The error says what
/// makes no sense.
pub fn encode(
    packet: &Packet,
    version: Version,
    client: &str,
    variables: &Variables,
) -> Result<Vec<u8>, String> {
    Encoder { packet, version, client, variables }.frame()
}

struct Encoder<'a> {
    packet: &'a Packet,
    version: Version,
    client: &'a str,
    variables: &'a Variables,
}

impl Encoder<'_> {
    fn frame(&self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        let mut flags = 0;
        match self.packet.name() {
            "CONNECT" => self.connect(&mut body)?,
            "PUBLISH" => flags = self.publish(&mut body)?,
            "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP" => {
                flags = if self.packet.name() == "PUBREL" { 0b0010 } else { 0 };
                put_two_bytes(&mut body, self.number("id", 0)? as u16);
                self.reason_and_properties(&mut body)?;
            }
            "SUBSCRIBE" | "UNSUBSCRIBE" => {
                flags = 0b0010;
                self.filters(&mut body)?;
            }
            "DISCONNECT" | "AUTH" => self.reason_and_properties(&mut body)?,
            "PINGREQ" => {}
            other => return Err(format!("a Client sends no {other}; `bytes` can")),
        }
        let mut frame = vec![(self.packet.kind as u8 + 1) << 4 | flags];
        put_variable_byte_integer(&mut frame, body.len());
        frame.extend(body);
        Ok(frame)
    }

    fn connect(&self, body: &mut Vec<u8>) -> Result<(), String> {
        let (name, level) = match self.version {
            Version::V3_1 => ("MQIsdp", 3),
            Version::V3_1_1 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        put_text(body, &self.text("protocol_name")?.unwrap_or_else(|| name.into()));
        body.push(self.number("protocol_level", level)? as u8);
        let will = self.text("will_topic")?;
        let (user_name, password) = (self.text("user_name")?, self.text("password")?);
        body.push(
            (self.number("clean_start", 0)? as u8) << 1
                | u8::from(will.is_some()) << 2
                | (self.number("will_qos", 0)? as u8) << 3
                | (self.number("will_retain", 0)? as u8) << 5
                | u8::from(password.is_some()) << 6
                | u8::from(user_name.is_some()) << 7,
        );
        put_two_bytes(body, self.number("keep_alive", 0)? as u16);
        self.properties(body, property)?;
        put_text(body, &self.text("client_identifier")?.unwrap_or_else(|| self.client.into()));
        if let Some(topic) = will {
            self.properties(body, will_property)?;
            put_text(body, &topic);
            put_text(body, &self.text("will_payload")?.unwrap_or_default());
        }
        for field in [user_name, password].into_iter().flatten() {
            put_text(body, &field);
        }
        Ok(())
    }

    /// Returns the flags of the fixed header.
    fn publish(&self, body: &mut Vec<u8>) -> Result<u8, String> {
        let qos = self.number("qos", 0)? as u8;
        put_text(body, &self.text("topic")?.unwrap_or_default());
        if qos > 0 {
            put_two_bytes(body, self.number("id", 0)? as u16);
        }
        self.properties(body, property)?;
        body.extend(self.text("payload")?.unwrap_or_default());
        Ok((self.number("dup", 0)? as u8) << 3 | qos << 1 | self.number("retain", 0)? as u8)
    }

    fn filters(&self, body: &mut Vec<u8>) -> Result<(), String> {
        put_two_bytes(body, self.number("id", 0)? as u16);
        self.properties(body, property)?;
        for filter in &self.packet.filters {
            put_text(body, &filter.text);
            if self.packet.name() == "SUBSCRIBE" {
                body.push(filter.options);
            }
        }
        Ok(())
    }

    fn reason_and_properties(&self, body: &mut Vec<u8>) -> Result<(), String> {
        if self.version != Version::V5 {
            return Ok(());
        }
        let code = match self.value("reason")? {
            Some(Value::Reason(code)) => code,
            None => 0,
            Some(other) => return Err(format!("`{other}` is no Reason Code")),
        };
        let mut properties = Vec::new();
        self.properties(&mut properties, property)?;
        let has_properties = properties.len() > 1;
        if code != 0 || has_properties {
            body.push(code);
        }
        if has_properties {
            body.extend(properties);
        }
        Ok(())
    }

    /// The properties that `find` knows, with their length in front; in 3.x nothing.
    fn properties(
        &self,
        body: &mut Vec<u8>,
        find: impl Fn(&str) -> Option<(u8, Layout)>,
    ) -> Result<(), String> {
        if self.version != Version::V5 {
            return Ok(());
        }
        let mut block = Vec::new();
        for (name, value) in &self.packet.fields {
            if let Some((identifier, layout)) = find(name) {
                let value = self.resolve(value)?;
                block.push(identifier);
                put_value(&mut block, layout, &value)
                    .map_err(|()| format!("`{name}={value}` is not {layout:?}"))?;
            }
        }
        put_variable_byte_integer(body, block.len());
        body.extend(block);
        Ok(())
    }

    fn resolve(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Variable(name) => {
                self.variables.get(name).cloned().ok_or_else(|| format!("`${name}` is not bound"))
            }
            Value::Any | Value::Absent => Err(format!("`{value}` cannot be sent")),
            _ => Ok(value.clone()),
        }
    }

    fn value(&self, name: &str) -> Result<Option<Value>, String> {
        self.packet.get(name).map(|value| self.resolve(value)).transpose()
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        match self.value(name)? {
            None => Ok(default),
            Some(Value::Number(number)) => Ok(number),
            Some(other) => Err(format!("`{name}={other}` is no number")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(format!("`{name}={other}` is no text")),
        }
    }
}

fn put_value(out: &mut Vec<u8>, layout: Layout, value: &Value) -> Result<(), ()> {
    match (layout, value) {
        (Layout::Byte, Value::Number(number)) => out.push(*number as u8),
        (Layout::TwoBytes, Value::Number(number)) => put_two_bytes(out, *number as u16),
        (Layout::FourBytes, Value::Number(number)) => out.extend((*number as u32).to_be_bytes()),
        (Layout::VariableByteInteger, Value::Number(number)) => {
            put_variable_byte_integer(out, *number as usize)
        }
        (Layout::Text | Layout::Binary, Value::Text(text)) => put_text(out, text),
        (Layout::TextPair, Value::Pair(name, value)) => {
            put_text(out, name);
            put_text(out, value);
        }
        _ => return Err(()),
    }
    Ok(())
}

fn put_two_bytes(out: &mut Vec<u8>, number: u16) {
    out.extend(number.to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_two_bytes(out, text.len() as u16);
    out.extend(text);
}

fn put_variable_byte_integer(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let (digit, rest) = ((number % 128) as u8, number / 128);
        number = rest;
        if number == 0 {
            return out.push(digit);
        }
        out.push(digit | 0x80);
    }
}
