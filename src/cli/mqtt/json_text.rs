//! JSON as text: put together and laid out without a change to its members' order or its numbers.
//!
//! A payload that is JSON is printed as it came. A value in between would sort its members and round its numbers.

/// An object of members whose values are JSON already.
pub fn object(members: &[(&str, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(*name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Valid JSON without the blanks between its parts.
pub fn compact(json: &str) -> String {
    let mut compacted = String::with_capacity(json.len());
    parts(json, |part| compacted.push_str(part));
    compacted
}

/// Valid, compact JSON over several lines, as cJSON lays it out for mosquitto_sub.
pub fn indent(json: &str) -> String {
    let mut indented = String::with_capacity(json.len() * 2);
    // For each open bracket, whether it is an object's: arrays stay on their line.
    let mut open: Vec<bool> = Vec::new();
    let mut previous = "";
    parts(json, |part| {
        let lines = |depth: usize| format!("\n{}", "\t".repeat(depth));
        match part {
            "{" => {
                open.push(true);
                indented.push('{');
            }
            "[" => {
                open.push(false);
                indented.push('[');
            }
            "}" => {
                open.pop();
                indented.push_str(&lines(open.len()));
                indented.push('}');
            }
            "]" => {
                open.pop();
                indented.push(']');
            }
            ":" => indented.push_str(":\t"),
            "," => indented.push_str(if open.last() == Some(&true) { "," } else { ", " }),
            _ => {}
        }
        if !"{}[]:,".contains(part) {
            if open.last() == Some(&true) && (previous == "{" || previous == ",") {
                indented.push_str(&lines(open.len()));
            }
            indented.push_str(part);
        }
        previous = match part {
            "{" => "{",
            "," => ",",
            _ => "",
        };
    });
    indented
}

/// Hands over the parts of valid JSON: brackets, commas and colons each alone, strings and other values whole.
fn parts<'a>(json: &'a str, mut take: impl FnMut(&'a str)) {
    let mut rest = json.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let mut is_escaped = false;
                let end = rest.char_indices().skip(1).find(|(_, character)| {
                    let is_end = *character == '"' && !is_escaped;
                    is_escaped = *character == '\\' && !is_escaped;
                    is_end
                });
                end.map_or(rest.len(), |(index, _)| index + 1)
            }
            '{' | '}' | '[' | ']' | ':' | ',' => 1,
            _ => rest.find(|c: char| c.is_ascii_whitespace() || "{}[]:,\"".contains(c)).unwrap_or(rest.len()),
        };
        let (part, after) = rest.split_at(length);
        take(part);
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_go_and_nothing_else_does() {
        let json = " { \"b\" : [ 1.50 , true , null ] , \"a \\\" , \\\\\" : { } , \"c\":\" x \" } ";
        assert_eq!(compact(json), "{\"b\":[1.50,true,null],\"a \\\" , \\\\\":{},\"c\":\" x \"}");
        assert_eq!(compact(" 1e5 "), "1e5");
    }

    #[test]
    fn each_member_of_an_object_gets_a_line() {
        let indented = "{\n\t\"a\":\t1,\n\t\"b\":\t[1, 2],\n\t\"c\":\t{\n\t\t\"d\":\t\"{,}\"\n\t}\n}";
        assert_eq!(indent("{\"a\":1,\"b\":[1,2],\"c\":{\"d\":\"{,}\"}}"), indented);
    }
}
