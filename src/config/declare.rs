//! `options!`: the one place where an option comes into being.
//!
//! A declaration gives an option its name, type, default, range, unit, sentence and whether a reload applies
//! it. The macro turns it into a field of a struct, into that struct's `Default`, into the code that reads
//! and judges a value, and into an [`OptionDoc`]; the sample file, the reference documentation, every error
//! message and the warning that a change needs a restart come from the same line. So an option cannot exist
//! without a default, a range cannot differ from what the documentation says, and adding an option is one
//! edit in [`super::options`].
//!
//! Ranges are written in the option's measure: a count for numbers, bytes for sizes, milliseconds for
//! durations. Each type says how its measure is shown ([`super::value::OptionValue::show_measure`]).

use super::reader::Reader;
use super::value::OptionValue;

/// One option as the reference shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDoc {
    /// The key inside its section, such as `max_inflight`.
    pub name: &'static str,
    /// What the option decides, in a sentence or two.
    pub doc: String,
    /// What a user writes: `whole number`, `size`, `duration`, ...
    pub kind: String,
    /// The default as TOML, or `None` when the option is unset by default.
    pub default: Option<String>,
    /// Whether it must be set.
    pub required: bool,
    /// A TOML value to show where there is no default.
    pub example: Option<String>,
    /// The accepted range, such as `1 to 65535`.
    pub range: Option<String>,
    /// What a number counts.
    pub unit: Option<&'static str>,
    /// Whether a reload (SIGHUP) applies a change; otherwise it takes a restart.
    pub reloads: bool,
}

/// One table of the configuration as the reference shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionDoc {
    /// The table's name, such as `session`.
    pub name: &'static str,
    /// What the section is about.
    pub doc: String,
    /// Its options, in the order of declaration.
    pub options: Vec<OptionDoc>,
    /// Tables nested inside it.
    pub tables: Vec<SectionDoc>,
    /// Lists of tables nested inside it, each as one of its tables.
    pub lists: Vec<SectionDoc>,
}

/// The value of one option of a configuration.
#[derive(Debug)]
pub(super) struct OptionAt {
    /// Its path, such as `listener.0.url`.
    pub path: String,
    /// The value as TOML; none if it is unset. Of a secret, only that there is one.
    pub value: Option<String>,
    /// Whether a reload applies a change.
    pub reloads: bool,
    /// Whether it is one of those that nobody may see.
    pub is_secret: bool,
    /// Whether this is what it is without being set.
    pub is_default: bool,
}

impl OptionAt {
    /// The value of an option.
    pub fn new<T: OptionValue>(path: String, value: &T, default: &T, reloads: bool) -> Self {
        let (toml, default) = (value.to_toml(), default.to_toml());
        let is_default = toml == default && !T::REQUIRED;
        let value = if T::IS_SECRET { toml.map(|_| SECRET_SHOWN.to_owned()) } else { toml };
        Self { path, value, reloads, is_secret: T::IS_SECRET, is_default }
    }

    /// A table that need not be there, and is: an empty one also makes a difference, where it replaces another one.
    pub fn table(path: String) -> Self {
        Self { path, value: Some("{ ... }".to_owned()), reloads: true, is_secret: false, is_default: false }
    }
}

/// What is shown in the place of a secret.
const SECRET_SHOWN: &str = "(set)";

/// A struct made by `options!`.
pub(super) trait Section: Default {
    /// The table's name.
    const NAME: &'static str;
    /// Reads every option of the section; what is wrong is noted in the reader and the default stands in.
    fn read(reader: &mut Reader<'_>) -> Self;
    /// Adds the value of every option, with its path, which begins with `path`.
    fn collect(&self, path: &str, values: &mut Vec<OptionAt>);
    /// What the reference says.
    fn doc() -> SectionDoc;
}

/// Declares sections of the configuration; see the file comment.
macro_rules! options {
    ($(
        $(#[doc = $section_doc:literal])*
        [$section:literal] $Struct:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $ty:ty = $default:expr
                    $(, range $range:expr)?
                    $(, unit $unit:literal)?
                    $(, example $example:literal)?
                    $(, reloads $reloads:literal)?
                    ;
            )*
            $([tables] {
                $(
                    $(#[doc = $table_doc:literal])*
                    $table:ident : $Table:ty;
                )*
            })?
            $([lists] {
                $(
                    $(#[doc = $list_doc:literal])*
                    $list:ident : $Item:ty;
                )*
            })?
        }
    )*) => { $(
        $(#[doc = $section_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Struct {
            $( $(#[doc = $doc])* pub $field: $ty, )*
            $($( $(#[doc = $table_doc])* pub $table: Option<$Table>, )*)?
            $($( $(#[doc = $list_doc])* pub $list: Vec<$Item>, )*)?
        }

        impl Default for $Struct {
            fn default() -> Self {
                Self {
                    $( $field: $default, )*
                    $($( $table: None, )*)?
                    $($( $list: Vec::new(), )*)?
                }
            }
        }

        impl $crate::config::declare::Section for $Struct {
            const NAME: &'static str = $section;

            fn read(reader: &mut $crate::config::reader::Reader<'_>) -> Self {
                let defaults = Self::default();
                Self {
                    $( $field: reader.option(
                        stringify!($field),
                        defaults.$field,
                        None::<std::ops::RangeInclusive<u64>>$(.or(Some($range)))?,
                    ), )*
                    $($( $table: reader.table(stringify!($table)), )*)?
                    $($( $list: reader.tables(stringify!($list)), )*)?
                }
            }

            fn collect(&self, path: &str, values: &mut Vec<$crate::config::declare::OptionAt>) {
                let defaults = Self::default();
                $( values.push($crate::config::declare::OptionAt::new(
                    format!("{path}.{}", stringify!($field)),
                    &self.$field,
                    &defaults.$field,
                    false $(|| $reloads)?,
                )); )*
                $($( if let Some(table) = &self.$table {
                    let path = format!("{path}.{}", stringify!($table));
                    values.push($crate::config::declare::OptionAt::table(path.clone()));
                    table.collect(&path, values);
                } )*)?
                $($( for (index, item) in self.$list.iter().enumerate() {
                    item.collect(&format!("{path}.{}.{index}", stringify!($list)), values);
                } )*)?
            }

            fn doc() -> $crate::config::declare::SectionDoc {
                let defaults = Self::default();
                $crate::config::declare::SectionDoc {
                    name: $section,
                    doc: $crate::config::declare::paragraph(&[$($section_doc),*]),
                    options: vec![ $( $crate::config::declare::describe(
                        stringify!($field),
                        &[$($doc),*],
                        &defaults.$field,
                        None::<std::ops::RangeInclusive<u64>>$(.or(Some($range)))?,
                        None::<&'static str>$(.or(Some($unit)))?,
                        None::<&'static str>$(.or(Some($example)))?,
                        false $(|| $reloads)?,
                    ), )* ],
                    tables: vec![ $($(
                        $crate::config::declare::nested::<$Table>(stringify!($table), &[$($table_doc),*]),
                    )*)? ],
                    lists: vec![ $($(
                        $crate::config::declare::nested::<$Item>(stringify!($list), &[$($list_doc),*]),
                    )*)? ],
                }
            }
        }
    )* };
}
pub(super) use options;

/// Builds the description of one option for `options!`.
pub(super) fn describe<T: OptionValue>(
    name: &'static str,
    doc: &[&str],
    default: &T,
    range: Option<std::ops::RangeInclusive<u64>>,
    unit: Option<&'static str>,
    example: Option<&'static str>,
    reloads: bool,
) -> OptionDoc {
    OptionDoc {
        name,
        doc: paragraph(doc),
        kind: T::kind(),
        default: default.to_toml().filter(|_| !T::REQUIRED),
        required: T::REQUIRED,
        example: example.map(str::to_owned).or_else(|| default.to_toml().filter(|_| T::REQUIRED)),
        range: range.map(|range| range_text::<T>(&range)),
        unit,
        reloads,
    }
}

/// Builds the description of a nested table, or of one in a nested list, for `options!`.
pub(super) fn nested<S: Section>(name: &'static str, doc: &[&str]) -> SectionDoc {
    SectionDoc { name, doc: paragraph(doc), ..S::doc() }
}

/// Joins the lines of a documentation comment.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A range as a reader sees it: `1 to 65535`, `1s to 10m`.
pub(super) fn range_text<T: OptionValue>(range: &std::ops::RangeInclusive<u64>) -> String {
    format!("{} to {}", T::show_measure(*range.start()), T::show_measure(*range.end()))
}
