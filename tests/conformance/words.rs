//! One line of a script as words.
//!
//! A word is a run of characters without blanks, a `"text"` (with `\n`, `\\`, `\"`, `\xFF` and `\u{1F426}`
//! inside), or one of `= : , [ ]`. Texts may be repeated and joined, so that large ones stay readable:
//! `"a/"*199+"a"`. A `#` outside of a text begins a comment.

/// A word of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// `PUBLISH`, `qos`, `->`, `$m`, `...`
    Bare(String),
    /// `"text"`; bytes, since scripts also say what is no UTF-8.
    Text(Vec<u8>),
    /// One of `= : , [ ]`.
    Mark(char),
}

/// Splits a line. The error says what is wrong with it.
pub fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '#' => "",
            '=' | ':' | ',' | '[' | ']' => {
                words.push(Word::Mark(first));
                &rest[1..]
            }
            '"' => {
                let (text, after) = joined_text(rest)?;
                words.push(Word::Text(text));
                after
            }
            _ => {
                let ends = |character: char| character.is_whitespace() || "=:,[]\"#".contains(character);
                let end = rest.find(ends).unwrap_or(rest.len());
                words.push(Word::Bare(rest[..end].to_owned()));
                &rest[end..]
            }
        }
        .trim_start();
    }
    Ok(words)
}

/// `"a"`, `"a"*3`, `"a"*3+"b"`.
fn joined_text(mut rest: &str) -> Result<(Vec<u8>, &str), String> {
    let mut joined = Vec::new();
    loop {
        let (text, after) = text(rest)?;
        rest = after;
        let mut times = 1;
        if let Some(number) = rest.strip_prefix('*') {
            let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
            times =
                number[..end].parse().map_err(|_| "behind `*` stands how often, as a number".to_owned())?;
            rest = &number[end..];
        }
        joined.extend(text.repeat(times));
        match rest.strip_prefix('+') {
            Some(more) => rest = more,
            None => return Ok((joined, rest)),
        }
    }
}

fn text(rest: &str) -> Result<(Vec<u8>, &str), String> {
    let inside = rest.strip_prefix('"').ok_or("a text begins with `\"`")?;
    let mut text = Vec::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((text, &inside[at + 1..])),
            '\\' => {
                let (_, escape) = characters.next().ok_or("a text ends behind `\\`")?;
                match escape {
                    'n' => text.push(b'\n'),
                    '\\' | '"' => text.push(escape as u8),
                    'x' => {
                        let digits = inside.get(at + 2..at + 4).unwrap_or_default();
                        text.push(
                            u8::from_str_radix(digits, 16)
                                .map_err(|_| "behind `\\x` stand two hexadecimal digits")?,
                        );
                        characters = inside.char_indices();
                        characters.nth(inside[..at + 4].chars().count() - 1);
                    }
                    'u' => {
                        let end = inside[at..].find('}').ok_or("`\\u{..}` is not closed")? + at;
                        let digits = inside.get(at + 3..end).unwrap_or_default();
                        let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                        let mut buffer = [0; 4];
                        text.extend(
                            code.ok_or("`\\u{..}` names no character")?.encode_utf8(&mut buffer).bytes(),
                        );
                        characters = inside.char_indices();
                        characters.nth(inside[..=end].chars().count() - 1);
                    }
                    other => return Err(format!("`\\{other}` means nothing")),
                }
            }
            _ => text.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Err("a text is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_into_bare_words_texts_and_marks() {
        let bare = |word: &str| Word::Bare(word.to_owned());
        let line = r#"  sub <- PUBLISH qos=1 "a/#" id=$m [success]  # not this"#;
        let expected = [
            bare("sub"),
            bare("<-"),
            bare("PUBLISH"),
            bare("qos"),
            Word::Mark('='),
            bare("1"),
            Word::Text(b"a/#".to_vec()),
            bare("id"),
            Word::Mark('='),
            bare("$m"),
            Word::Mark('['),
            bare("success"),
            Word::Mark(']'),
        ];
        assert_eq!(words(line).unwrap(), expected);
    }

    #[test]
    fn texts_have_escapes_and_can_be_repeated_and_joined() {
        let text = |line: &str| match words(line).unwrap().as_slice() {
            [Word::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text(r#""a\"b\\c\nd""#), b"a\"b\\c\nd");
        assert_eq!(text(r#""\xFFz\u{e9}z""#), b"\xFFz\xC3\xA9z");
        assert_eq!(text(r#""a/"*3+"b"*2"#), b"a/a/a/bb");
    }

    #[test]
    fn what_is_no_word_is_refused() {
        for line in [r#""open"#, r#""\q""#, r#""\x0""#, r#""a"*x"#, r#""a"+b"#] {
            assert!(words(line).is_err(), "{line}");
        }
    }
}
