//! Which item of a Rust file a line belongs to.
//!
//! A compliance report with line numbers would be stale after every edit, so a citation is placed by the name
//! of the function (or constant, or type) around it. That needs no parser: items are recognised by their
//! keywords in the tokens of `tokens.rs`, and end at their bracket. A wrong guess costs a slightly wrong name
//! in a report.

use super::tokens::{Comment, Token, tokens};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A function or constant: it names what is inside.
    Body,
    /// A type, trait or `impl`: it names what is inside only where no [`Kind::Body`] does, and qualifies
    /// that.
    Type,
    Module,
}

/// An item and the lines it covers, its attributes included.
#[derive(Debug)]
struct Scope<'a> {
    kind: Kind,
    name: &'a str,
    is_test: bool,
    first_line: usize,
    last_line: usize,
    /// The scope around this one, as an index.
    parent: Option<usize>,
}

/// The items and comments of one Rust file. Lines count from 1.
pub(super) struct Scopes<'a> {
    scopes: Vec<Scope<'a>>,
    /// The `//` comments in order.
    pub(super) comments: Vec<Comment<'a>>,
    /// For each line whether it holds code other than attributes.
    has_code: Vec<bool>,
}

/// Where a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `Connection::handle_connect`, `parse`, `TopicFilter`; empty at file level.
    pub(super) name: String,
    /// Inside `mod tests`, `#[cfg(test)]` or a `#[test]` function.
    pub(super) is_test: bool,
}

impl<'a> Scopes<'a> {
    pub(super) fn of(source: &'a str) -> Scopes<'a> {
        let mut comments = Vec::new();
        let tokens = tokens(source, &mut comments);
        let mut has_code = vec![false; source.lines().count() + 2];
        let scopes = items(&tokens, &mut has_code);
        Scopes { scopes, comments, has_code }
    }

    /// Names the item around `line`; a comment directly above an item belongs to that item.
    pub(super) fn place(&self, line: usize) -> Place {
        let around = self.innermost(line);
        let inside_body = around.is_some_and(|index| self.scopes[index].kind == Kind::Body);
        let chosen = if inside_body { around } else { self.introduced_by(line, around).or(around) };
        let Some(chosen) = chosen else { return Place { name: String::new(), is_test: false } };
        let scope = &self.scopes[chosen];
        let name = match (scope.kind, scope.parent.map(|parent| &self.scopes[parent])) {
            (Kind::Module, _) => String::new(),
            (Kind::Body, Some(parent)) if parent.kind == Kind::Type => {
                format!("{}::{}", parent.name, scope.name)
            }
            _ => scope.name.to_owned(),
        };
        Place { name, is_test: scope.is_test }
    }

    fn innermost(&self, line: usize) -> Option<usize> {
        let covers = |scope: &Scope<'_>| (scope.first_line..=scope.last_line).contains(&line);
        self.scopes.iter().rposition(covers)
    }

    /// The item that begins after `line` with nothing but comments, attributes and blank lines in between.
    fn introduced_by(&self, line: usize, around: Option<usize>) -> Option<usize> {
        let next = self.scopes.iter().position(|scope| scope.first_line > line && scope.parent == around)?;
        let between = line + 1..self.scopes[next].first_line;
        (!self.has_code[line] && !self.has_code[between].contains(&true)).then_some(next)
    }
}

/// An item whose end was not seen yet.
struct Open {
    scope: usize,
    /// Depth of brackets at its keyword.
    depth: usize,
    /// Ends at `;` (a constant) instead of its closing brace.
    until_semicolon: bool,
    /// Its opening brace was seen.
    entered: bool,
}

/// Finds the items in `tokens`, parents before children, and marks the lines that hold code.
fn items<'a>(tokens: &[(usize, Token<'a>)], has_code: &mut [bool]) -> Vec<Scope<'a>> {
    let mut scopes: Vec<Scope<'a>> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut depth = 0;
    let mut attributes = Attributes::default();
    let mut index = 0;
    while index < tokens.len() {
        let (line, token) = tokens[index];
        if token == Token::Mark(b'#') && matches!(tokens.get(index + 1), Some((_, Token::Mark(b'[')))) {
            index = attributes.read(tokens, index);
            continue;
        }
        has_code[line] = true;
        let in_header = open.last().is_some_and(|item| !item.entered);
        if let Token::Word(word) = token
            && !in_header
            && let Some((kind, name)) = item_at(tokens, index, word)
        {
            let parent = open.last().map(|item| item.scope);
            let inherited = parent.is_some_and(|parent| scopes[parent].is_test);
            let is_test = inherited || attributes.is_test || (kind == Kind::Module && name == "tests");
            let first_line = attributes.first_line.unwrap_or(line);
            scopes.push(Scope { kind, name, is_test, first_line, last_line: usize::MAX, parent });
            let until_semicolon = matches!(word, "const" | "static");
            open.push(Open { scope: scopes.len() - 1, depth, until_semicolon, entered: until_semicolon });
            attributes = Attributes::default();
        }
        match token {
            Token::Mark(b'{' | b'(' | b'[') => {
                if let Some(item) = open.last_mut()
                    && token == Token::Mark(b'{')
                    && item.depth == depth
                {
                    item.entered = true;
                }
                depth += 1;
            }
            Token::Mark(mark @ (b'}' | b')' | b']')) => {
                depth = depth.saturating_sub(1);
                let ends = |item: &Open| {
                    mark == b'}' && item.entered && !item.until_semicolon && item.depth == depth
                };
                close_if(&mut open, &mut scopes, line, ends);
                if mark == b'}' {
                    attributes = Attributes::default();
                }
            }
            Token::Mark(b';') => {
                let ends = |item: &Open| item.depth == depth && (item.until_semicolon || !item.entered);
                close_if(&mut open, &mut scopes, line, ends);
                attributes = Attributes::default();
            }
            _ => {}
        }
        index += 1;
    }
    scopes
}

fn close_if(open: &mut Vec<Open>, scopes: &mut [Scope<'_>], line: usize, ends: impl Fn(&Open) -> bool) {
    if let Some(item) = open.pop_if(|item| ends(item)) {
        scopes[item.scope].last_line = line;
    }
}

/// The attributes read since the last item.
#[derive(Default)]
struct Attributes {
    first_line: Option<usize>,
    is_test: bool,
}

impl Attributes {
    /// Reads the attribute at `index`, a `#`, and returns the index behind it.
    fn read(&mut self, tokens: &[(usize, Token<'_>)], mut index: usize) -> usize {
        self.first_line.get_or_insert(tokens[index].0);
        let mut depth = 0;
        let mut words = Vec::new();
        while let Some((_, token)) = tokens.get(index) {
            index += 1;
            match token {
                Token::Mark(b'[' | b'(') => depth += 1,
                Token::Mark(b']' | b')') => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                Token::Word(word) => words.push(*word),
                _ => {}
            }
        }
        let is_test = match words.first() {
            Some(&"cfg") => words.contains(&"test") && !words.contains(&"not"),
            Some(&"cfg_attr") => false,
            _ => words.contains(&"test"),
        };
        self.is_test |= is_test;
        index
    }
}

/// The item that the keyword at `index` begins, if it begins one.
fn item_at<'a>(tokens: &[(usize, Token<'a>)], index: usize, word: &str) -> Option<(Kind, &'a str)> {
    let before = index.checked_sub(1).map(|index| tokens[index].1);
    let name = match tokens.get(index + 1)?.1 {
        Token::Word(name) => Some(name),
        _ => None,
    };
    match word {
        "fn" => Some((Kind::Body, name?)),
        "mod" => Some((Kind::Module, name?)),
        "struct" | "enum" | "trait" => Some((Kind::Type, name?)),
        // Not `*const T`, `<const N: usize>`, `const fn` or `const { .. }`.
        "const" | "static" => {
            let elsewhere = matches!(before, Some(Token::Mark(b'*' | b'<' | b',' | b'&')));
            let name =
                name.filter(|name| !elsewhere && !matches!(*name, "fn" | "unsafe" | "async" | "extern"))?;
            Some((Kind::Body, name))
        }
        "impl" => implemented_type(&tokens[index + 1..]).map(|name| (Kind::Type, name)),
        "macro_rules" => match tokens.get(index + 2)?.1 {
            Token::Word(name) => Some((Kind::Body, name)),
            _ => None,
        },
        _ => None,
    }
}

/// The type of `impl<T> Trait<T> for Type<T> {`: the first word outside of `<..>`, or the one behind `for`.
fn implemented_type<'a>(tokens: &[(usize, Token<'a>)]) -> Option<&'a str> {
    let mut angle = 0_usize;
    let mut name = None;
    let mut previous = Token::Literal;
    for &(_, token) in tokens {
        match token {
            Token::Mark(b'<') => angle += 1,
            Token::Mark(b'>') if previous != Token::Mark(b'-') => angle = angle.saturating_sub(1),
            Token::Mark(b'{' | b';') => break,
            Token::Word("where") => break,
            Token::Word("for") if angle == 0 => name = None,
            // The last part of a path names the type.
            Token::Word(word) if angle == 0 && (name.is_none() || previous == Token::Mark(b':')) => {
                name = Some(word)
            }
            _ => {}
        }
        previous = token;
    }
    name
}

#[cfg(test)]
#[path = "scopes_tests.rs"]
mod tests;
