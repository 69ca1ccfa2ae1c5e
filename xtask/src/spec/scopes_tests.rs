//! Files as people write them, each line that says `HERE` looked up by [`Scopes::place`].

use super::*;

/// The place of the line that contains `HERE`.
fn place_of_here(source: &str) -> (String, bool) {
    let line = 1 + source.lines().position(|line| line.contains("HERE")).expect("the source says HERE");
    let Place { name, is_test } = Scopes::of(source).place(line);
    (name, is_test)
}

#[track_caller]
fn check(source: &str, name: &str, is_test: bool) {
    assert_eq!(place_of_here(source), (name.to_owned(), is_test));
}

#[test]
fn a_comment_inside_a_function_belongs_to_it() {
    check("fn first() {}\nfn second(x: [u8; 3]) -> u8 {\n  // HERE\n  1\n}\n", "second", false);
}

#[test]
fn a_trailing_comment_belongs_to_the_function_of_its_line() {
    check("fn first() { x() // HERE\n}\nfn second() {}\n", "first", false);
}

#[test]
fn a_comment_above_a_function_belongs_to_it_through_attributes_and_documentation() {
    check("fn a() {}\n\n// HERE\n/// Documented.\n#[inline]\npub(crate) const fn b() {}\n", "b", false);
    check("#[inline]\n// HERE\nfn b() {}\n", "b", false);
}

#[test]
fn a_method_is_qualified_by_its_type() {
    check(
        "impl<'a, T: Fn(u8) -> u8> Reader<'a, T> {\n  // HERE\n  fn read(&self) {}\n}\n",
        "Reader::read",
        false,
    );
    check(
        "impl fmt::Display for codec::Topic<'_> {\n  fn fmt(&self) {\n // HERE\n }\n}\n",
        "Topic::fmt",
        false,
    );
    check("trait Store {\n fn first(&self);\n fn put(&self) {\n // HERE\n }\n}\n", "Store::put", false);
}

#[test]
fn a_comment_on_a_variant_or_field_belongs_to_the_type() {
    check("enum QoS {\n  A,\n  // HERE\n  B,\n}\nfn next() {}\n", "QoS", false);
    check("struct Limits {\n  a: u8, // HERE\n}\n", "Limits", false);
}

#[test]
fn a_constant_table_names_its_rows() {
    check(
        "const CODES: &[Code] = &[\n Code { a: 1 },\n // HERE\n Code { a: 2 },\n];\nfn f() {}\n",
        "CODES",
        false,
    );
}

#[test]
fn test_modules_and_test_functions_are_tests() {
    check("fn f() {}\n#[cfg(test)]\nmod checks {\n fn helper() {\n // HERE\n }\n}\n", "helper", true);
    check("mod tests {\n #[test]\n fn it_holds() {\n // HERE\n }\n}\n", "it_holds", true);
    check("#[tokio::test]\nasync fn it_holds() {\n // HERE\n}\n", "it_holds", true);
    check("// HERE\n#[test]\nfn it_holds() {}\n", "it_holds", true);
    check("#[cfg(not(test))]\nfn f() {\n // HERE\n}\n", "f", false);
    check("#[cfg(test)]\nmod tests;\nfn f() {\n // HERE\n}\n", "f", false);
    check("#[cfg(test)]\nuse a::b;\nfn f() {\n // HERE\n}\n", "f", false);
}

#[test]
fn functions_inside_a_macro_call_are_found() {
    check("proptest! {\n #[test]\n fn it_holds(x in 0..9u8) {\n // HERE\n }\n}\n", "it_holds", true);
}

#[test]
fn words_in_strings_comments_and_characters_are_no_items() {
    check("fn f() {\n let s = \"fn g() { // \\\" {\";\n // HERE\n}\nfn z() {}\n", "f", false);
    check(
        "fn f() {\n let s = r#\"fn g() { \" }\"#;\n let c = ['{', '\\'', '\"', 'é'];\n // HERE\n}\n",
        "f",
        false,
    );
    check("fn f<'a>(x: &'a str) {\n /* fn g() { /* } */ */\n // HERE\n}\n", "f", false);
    check("fn f() {\n let b = (b\"}\", b'}', b'\\'', r\"\\\", br\"}\");\n // HERE\n}\n", "f", false);
    check("fn f() {\n let r#type = 1; let x: *const u8 = p;\n // HERE\n}\n", "f", false);
}

#[test]
fn types_in_signatures_are_no_items() {
    check("fn f(x: impl Fn(u8), y: fn(u8) -> u8) -> impl Iterator {\n // HERE\n}\n", "f", false);
    check("fn f<const N: usize>() where [u8; N]: Sized {\n // HERE\n}\n", "f", false);
    check("fn f() {\n let g = |x: u8| { x };\n const { 1 };\n // HERE\n}\n", "f", false);
}

#[test]
fn a_comment_at_file_level_has_no_name() {
    check("//! About.\n// HERE\nuse a::b;\nfn f() {}\n", "", false);
    check("fn f() {}\n// HERE\n", "", false);
}

#[test]
fn comments_are_found_with_their_lines_and_never_inside_strings() {
    let source = "/// one\nlet x = \"// no\"; // two\n//! three\n/* // no */ let y = '\"'; //four";
    let comments: Vec<_> =
        Scopes::of(source).comments.iter().map(|comment| (comment.line, comment.text)).collect();
    assert_eq!(comments, [(1, "one"), (2, "two"), (3, "three"), (4, "four")]);
}
