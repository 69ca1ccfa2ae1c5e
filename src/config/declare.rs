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

/// A struct made by `options!`.
pub(super) trait Section: Default {
    /// The table's name.
    const NAME: &'static str;
    /// Reads every option of the section; what is wrong is noted in the reader and the default stands in.
    fn read(reader: &mut Reader<'_>) -> Self;
    /// Puts the values of the options that no reload applies under their paths, which begin with `path`.
    fn collect_fixed(&self, path: &str, values: &mut super::restart::Values);
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

            fn collect_fixed(&self, path: &str, values: &mut $crate::config::restart::Values) {
                $( $crate::config::declare::note_fixed(
                    format!("{path}.{}", stringify!($field)),
                    &self.$field,
                    false $(|| $reloads)?,
                    values,
                ); )*
                $($( self.$table
                    .clone()
                    .unwrap_or_default()
                    .collect_fixed(&format!("{path}.{}", stringify!($table)), values); )*)?
                $($( for (index, item) in self.$list.iter().enumerate() {
                    item.collect_fixed(&format!("{path}.{}.{index}", stringify!($list)), values);
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
pub(super) fn describe<T: super::value::OptionValue>(
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

/// Notes the value of one option for `options!`, unless a reload applies it.
pub(super) fn note_fixed<T: super::value::OptionValue>(
    path: String,
    value: &T,
    reloads: bool,
    values: &mut super::restart::Values,
) {
    if let Some(value) = value.to_toml().filter(|_| !reloads) {
        values.insert(path, value);
    }
}

/// Joins the lines of a documentation comment.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A range as a reader sees it: `1 to 65535`, `1s to 10m`.
pub(super) fn range_text<T: super::value::OptionValue>(range: &std::ops::RangeInclusive<u64>) -> String {
    format!("{} to {}", T::show_measure(*range.start()), T::show_measure(*range.end()))
}
