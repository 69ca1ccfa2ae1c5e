//! The lines of mosquitto.conf and of what it includes, as mosquitto splits them.
//!
//! A comment is a line whose very first character is `#`. The name of an option ends at a space, and its value is the
//! rest of the line: a `#` in it is part of the value. `include_dir` takes the files `*.conf` of a directory in the order
//! that mosquitto gives them.

use std::cmp::Ordering;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Remark;

/// The largest file that is read: a path can point anywhere, even at `/dev/zero`.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A file, or a line of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, counted from 1; none for the file as a whole.
    pub line: Option<usize>,
}

/// A line that sets an option.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub place: Place,
    pub name: String,
    /// What follows the name, without blanks around it.
    pub value: String,
}

impl Place {
    /// A file as a whole.
    pub fn file(path: &Path) -> Self {
        Self { file: path.display().to_string().into(), line: None }
    }

    /// A line of the same file.
    pub fn line(&self, line: usize) -> Self {
        Self { file: Arc::clone(&self.file), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file's name may hold anything, and this goes into comments and to a terminal.
        for character in self.file.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?
            } else {
                write!(f, "{character}")?
            }
        }
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

impl Line {
    /// The first word of the value; mosquitto ignores what follows it where a number, a flag or a word is due.
    pub fn word(&self) -> &str {
        self.value.split(' ').next().unwrap_or_default()
    }
}

/// Reads a file whole.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
            Err(format!("has more than {FILE_BYTES_MAX} bytes; is it the right file?"))
        }
        Ok(_) => Ok(bytes),
    }
}

/// The lines of a file that set something.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, Remark> {
    let file = Place::file(path);
    let bytes = bytes(path).map_err(|problem| Remark::new(&file, problem))?;
    let mut lines = Vec::new();
    for (number, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let place = file.line(number);
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Remark::new(&place, "is not UTF-8; save the file in that encoding"))?;
        let text = text.trim_end_matches('\r');
        let rest = text.trim_start_matches(' ');
        if text.starts_with('#') || rest.is_empty() {
            continue;
        }
        let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
        lines.push(Line { place, name: name.to_owned(), value: value.trim().to_owned() });
    }
    Ok(lines)
}

/// The files of an `include_dir`, in the order in which mosquitto reads them.
pub(super) fn included(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.len() > ".conf".len() && name.ends_with(".conf"))
        {
            names.push(name.to_owned());
        }
    }
    names.sort_by(|a, b| by_letter_upper_case_first(a, b));
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// `A.conf`, `a.conf`, `B.conf`, `b.conf`.
fn by_letter_upper_case_first(a: &str, b: &str) -> Ordering {
    a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_case_of_a_letter_comes_before_its_lower_case() {
        let mut names = ["b.conf", "A.conf", "01.conf", "a.conf", "B.conf", "00.conf"];
        names.sort_by(|a, b| by_letter_upper_case_first(a, b));
        assert_eq!(names, ["00.conf", "01.conf", "A.conf", "a.conf", "B.conf", "b.conf"]);
    }

    #[test]
    fn only_the_first_character_of_a_line_makes_a_comment() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        fs::write(&path, "# a comment\r\n\r\n  user   root # not a comment\r\n #neither\n").unwrap();
        let lines = read(&path).unwrap();
        let found: Vec<_> = lines.iter().map(|line| (line.place.line, &*line.name, &*line.value)).collect();
        assert_eq!(found, [(Some(3), "user", "root # not a comment"), (Some(4), "#neither", "")]);
    }

    #[test]
    fn a_file_that_is_not_text_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        fs::write(&path, b"user root\nuser \xff\n").unwrap();
        let problem = read(&path).unwrap_err();
        assert_eq!(problem.place.line, Some(2));
        assert!(problem.text.contains("UTF-8"), "{problem}");
        assert!(read(Path::new("/dev/zero")).unwrap_err().text.contains("right file"));
    }
}
