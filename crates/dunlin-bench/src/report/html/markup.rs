//! HTML and SVG as they are written: every element is closed, every text escaped.
//!
//! What is inside an element is written by a closure, so that there is no way to leave one open, and no way to
//! write text that a browser takes for markup.

/// A document, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Markup {
    out: String,
}

impl Markup {
    /// An element with what `content` writes into it.
    pub(super) fn element(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        content: impl FnOnce(&mut Self),
    ) {
        self.start(name, attributes);
        self.out.push('>');
        content(self);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    /// An element that holds a text.
    pub(super) fn text_element(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.element(name, attributes, |inner| inner.text(text));
    }

    /// An element that holds nothing: those of HTML that never do, and shapes of SVG.
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.out.push_str("/>\n");
    }

    /// Text.
    pub(super) fn text(&mut self, text: &str) {
        for character in text.chars() {
            match escaped(character) {
                Some(entity) => self.out.push_str(entity),
                None => self.out.push(character),
            }
        }
    }

    /// The whole document.
    pub(super) fn into_document(self) -> String {
        format!("<!doctype html>\n{}", self.out)
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.out.push('<');
        self.out.push_str(name);
        for (attribute, value) in attributes {
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            self.text(value);
            self.out.push('"');
        }
    }
}

/// What stands for a character that means something in markup.
fn escaped(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        // A name from the command line may hold what no document may.
        character if character.is_control() && character != '\n' => "\u{FFFD}",
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Panics unless every element of the document is closed where it should be.
    pub(in super::super) fn assert_well_formed(document: &str) {
        let mut open = Vec::new();
        let mut rest = document.strip_prefix("<!doctype html>\n").expect("it begins with its type");
        while let Some(at) = rest.find('<') {
            let end = at + rest[at..].find('>').expect("a tag ends");
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            assert!(tag.matches('"').count().is_multiple_of(2) && !tag.contains('<'), "<{tag}>");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "closed by </{name}>"),
                None if tag.ends_with('/') => {}
                None => open.push(tag.split(' ').next().unwrap()),
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
    }

    #[test]
    fn what_is_written_is_closed_and_escaped() {
        let mut markup = Markup::default();
        markup.element("p", &[("title", "a \"b\"")], |p| {
            p.text("1 < 2 & 'x'\u{1b}");
            p.empty("br", &[]);
        });
        let document = markup.into_document();
        let expected = "<p title=\"a &quot;b&quot;\">1 &lt; 2 &amp; &#39;x&#39;\u{FFFD}<br/>\n</p>\n";
        assert_eq!(document, format!("<!doctype html>\n{expected}"));
        assert_well_formed(&document);
    }
}
