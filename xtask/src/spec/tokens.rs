//! Splits Rust source into words, marks and comments.
//!
//! It must never take text inside a string or a comment for code, and never loses count of the lines:
//! `scopes.rs` finds items in what remains. Raw strings, nested block comments and the two meanings of `'`
//! are all there is to it. The tests of `scopes.rs` cover it.

/// A `//` comment, without its slashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// What `scopes.rs` needs to know of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    Mark(u8),
    /// A string, number, character or lifetime.
    Literal,
}

/// Splits `source` into tokens with their lines, which count from 1, and collects its comments. All that
/// matters here is ASCII, so it works on bytes.
pub(super) fn tokens<'a>(source: &'a str, comments: &mut Vec<Comment<'a>>) -> Vec<(usize, Token<'a>)> {
    let bytes = source.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let mut tokens = Vec::new();
    let (mut index, mut line) = (0, 1);
    while index < bytes.len() {
        let start = index;
        let start_line = line;
        match at(index) {
            b'/' if at(index + 1) == b'/' => {
                index = end_of_line(bytes, index);
                let text = source[start..index].trim_start_matches('/').trim_start_matches('!');
                comments.push(Comment { line, text: text.trim() });
                continue;
            }
            b'/' if at(index + 1) == b'*' => index = end_of_block_comment(bytes, index),
            b'"' => index = end_of_string(bytes, index + 1),
            b'\'' => {
                index = end_of_quote(bytes, index);
                tokens.push((start_line, Token::Literal));
            }
            byte if is_word(byte) => {
                while is_word(at(index)) {
                    index += 1;
                }
                let word = &source[start..index];
                let raw_string = matches!(word, "r" | "br" | "cr") && matches!(at(index), b'"' | b'#');
                if raw_string && let Some(end) = end_of_raw_string(bytes, index) {
                    index = end;
                } else if matches!(word, "b" | "c") && at(index) == b'"' {
                    index = end_of_string(bytes, index + 1);
                } else if word == "b" && at(index) == b'\'' {
                    index = end_of_quote(bytes, index);
                } else {
                    tokens.push((start_line, Token::Word(word)));
                    continue;
                }
                tokens.push((start_line, Token::Literal));
            }
            byte => {
                index += 1;
                if !byte.is_ascii_whitespace() {
                    tokens.push((start_line, Token::Mark(byte)));
                }
            }
        }
        index = index.min(bytes.len());
        line += bytes[start..index].iter().filter(|&&byte| byte == b'\n').count();
    }
    tokens
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |length| from + length)
}

fn end_of_block_comment(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0;
    let mut index = from;
    while index < bytes.len() {
        match &bytes[index..bytes.len().min(index + 2)] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            break;
        }
    }
    index
}

/// `from` is behind the opening quote.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut index = from;
    while index < bytes.len() && bytes[index] != b'"' {
        index += if bytes[index] == b'\\' { 2 } else { 1 };
    }
    index + 1
}

/// `from` is at the first `#` or the quote of `r##"`; `None` for a raw identifier such as `r#type`.
fn end_of_raw_string(bytes: &[u8], from: usize) -> Option<usize> {
    let hashes = bytes[from..].iter().take_while(|&&byte| byte == b'#').count();
    let body = from + hashes + 1;
    if bytes.get(from + hashes) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.resize(hashes + 1, b'#');
    let length = bytes[body..].windows(closing.len()).position(|window| window == closing);
    Some(length.map_or(bytes.len(), |length| body + length + closing.len()))
}

/// The end of a character or of a lifetime that begins at `from`.
fn end_of_quote(bytes: &[u8], from: usize) -> usize {
    if bytes.get(from + 1) == Some(&b'\\') {
        let closing = bytes[from + 3..].iter().position(|&byte| byte == b'\'');
        return closing.map_or(bytes.len(), |length| from + 3 + length + 1);
    }
    // A character is one to four bytes long; anything longer without a closing quote is a lifetime.
    let limit = bytes.len().min(from + 6);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if bytes.get(from + 1).is_some_and(is_plain) && bytes.get(from + 2) != Some(&b'\'') {
        return from + 1 + bytes[from + 1..].iter().take_while(|byte| is_plain(byte)).count();
    }
    let closing = bytes[(from + 2).min(limit)..limit].iter().position(|&byte| byte == b'\'');
    closing.map_or(from + 1, |length| from + 2 + length + 1)
}
