//! Where a walk over Retained Messages stands, and where it goes next.
//!
//! The walk looks at one key after the other. A key that does not match says how far to jump: to
//! where a literal level of the filter begins, past the subtree that a `+` has exhausted, or past all
//! topics that begin with `$`. So `+/status` over 1,000 devices looks at 2,000 keys or so, however
//! many topics each device has.
//!
//! ```text
//! filter  +/status         keys  d1·battery  d1·status  d1·zone  d2·battery ...
//! d1·battery  "battery" < "status"   jump to d1·status
//! d1·status   matches                go on behind it
//! d1·zone     "zone" > "status"      jump past everything below d1
//! ```

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};
use std::ops::Bound;

use super::{KEY_SEPARATOR, key_of};

/// Sorts behind the separator, and before or with every other character: appended to a key it leads
/// behind the subtree of the key.
const BEHIND_SUBTREE: &str = "\u{1}";
/// The character behind `$`, where topics go on that wildcards may match.
const BEHIND_RESERVED: &str = "%";

/// The position of a walk over a [`RetainedTree`](super::RetainedTree); borrows nothing.
#[derive(Clone, Debug)]
pub struct Cursor {
    filter: Box<str>,
    position: Position,
    /// The key that the position speaks of.
    key: String,
}

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Position {
    /// The walk goes on with the key itself or the next after it.
    From,
    /// The walk goes on after the key.
    After,
    Ended,
}

/// What [`RetainedTree::next`](super::RetainedTree::next) came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<'a, T> {
    /// The next match: its topic and its message.
    Found(RetainedTopic<'a>, &'a T),
    /// The budget is used up; the walk can go on with another.
    Pending,
    /// The walk is over.
    Done,
}

/// The topic of a Retained Message. Displays as the text of the topic.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RetainedTopic<'a> {
    key: &'a str,
}

impl<'a> RetainedTopic<'a> {
    pub(super) fn of_key(key: &'a str) -> Self {
        Self { key }
    }

    /// The levels of the topic.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.key.split(KEY_SEPARATOR)
    }
}

impl Display for RetainedTopic<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mut levels = self.levels();
        formatter.write_str(levels.next().unwrap_or_default())?;
        levels.try_for_each(|level| {
            formatter.write_str("/")?;
            formatter.write_str(level)
        })
    }
}

/// How a key relates to the filter of the walk.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'a> {
    Match,
    /// Only topics below the key can match before others do.
    TooShort,
    /// Nothing matches before this key and this text put together.
    Jump(&'a str, &'a str),
    /// No match behind the key.
    End,
}

impl Cursor {
    pub(super) fn new(filter: &str) -> Self {
        let literal_prefix_bytes = filter.find(['+', '#']).unwrap_or(filter.len());
        let literal_levels = filter.get(..literal_prefix_bytes).unwrap_or_default();
        let start = literal_levels.strip_suffix('/').unwrap_or(literal_levels);
        Self { filter: filter.into(), position: Position::From, key: key_of(start) }
    }

    pub(super) fn after(filter: &str, topic: &str) -> Self {
        Self { filter: filter.into(), position: Position::After, key: key_of(topic) }
    }

    /// The topic that the walk looked at last, if it goes on right behind it: enough to begin another walk there.
    pub fn passed(&self) -> Option<String> {
        let topic = RetainedTopic::of_key(&self.key);
        (self.position == Position::After).then(|| topic.to_string())
    }

    /// Whether the walk is over.
    pub fn is_done(&self) -> bool {
        self.position == Position::Ended
    }

    /// Where the next key is to be looked for, unless the walk is over.
    pub(super) fn start(&self) -> Option<Bound<&str>> {
        match self.position {
            Position::From => Some(Bound::Included(&self.key)),
            Position::After => Some(Bound::Excluded(&self.key)),
            Position::Ended => None,
        }
    }

    /// Takes note of the next key in the tree; says whether it matches.
    pub(super) fn advance(&mut self, key: &str) -> bool {
        let verdict = judge(&self.filter, key);
        match verdict {
            Verdict::Match | Verdict::TooShort => {
                self.position = Position::After;
                self.key.clear();
                self.key.push_str(key);
            }
            Verdict::Jump(prefix, rest) => {
                self.position = Position::From;
                self.key.clear();
                self.key.push_str(prefix);
                self.key.push_str(rest);
            }
            Verdict::End => self.position = Position::Ended,
        }
        verdict == Verdict::Match
    }

    pub(super) fn end(&mut self) {
        self.position = Position::Ended;
    }
}

fn judge<'a>(filter: &'a str, key: &'a str) -> Verdict<'a> {
    // spec(v3.1.1): [MQTT-4.7.2-1]
    // spec(v5): [MQTT-4.7.2-1]
    if key.starts_with('$') && filter.starts_with(['+', '#']) {
        return Verdict::Jump(BEHIND_RESERVED, "");
    }
    let mut key_levels = key.split(KEY_SEPARATOR);
    let mut level_start = 0;
    // The key up to the last level that a `+` stands for: where another branch can be tried.
    let mut branch = None;
    for filter_level in filter.split('/') {
        if filter_level == "#" {
            return Verdict::Match;
        }
        let Some(key_level) = key_levels.next() else { return Verdict::TooShort };
        let level_end = level_start + key_level.len();
        if filter_level == "+" {
            branch = key.get(..level_end);
        } else {
            match key_level.cmp(filter_level) {
                Ordering::Equal => {}
                Ordering::Less => {
                    return Verdict::Jump(key.get(..level_start).unwrap_or_default(), filter_level);
                }
                Ordering::Greater => return behind(branch),
            }
        }
        level_start = level_end + KEY_SEPARATOR.len_utf8();
    }
    match key_levels.next() {
        None => Verdict::Match,
        Some(_) => behind(branch),
    }
}

fn behind(branch: Option<&str>) -> Verdict<'_> {
    match branch {
        Some(branch) => Verdict::Jump(branch, BEHIND_SUBTREE),
        None => Verdict::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_before_the_literal_level_jumps_to_it() {
        assert_eq!(judge("+/status", "d1\0battery"), Verdict::Jump("d1\0", "status"));
    }

    #[test]
    fn a_key_behind_the_literal_level_jumps_past_the_branch() {
        assert_eq!(judge("+/status", "d1\0zone"), Verdict::Jump("d1", "\u{1}"));
        assert_eq!(judge("+/status", "d1\0status\0deep"), Verdict::Jump("d1", "\u{1}"));
        assert_eq!(judge("d1/status", "d1\0zone"), Verdict::End);
    }

    #[test]
    fn a_topic_is_a_match_of_the_multi_level_wildcard_below_it() {
        assert_eq!(judge("sport/#", "sport"), Verdict::Match);
        assert_eq!(judge("sport/+", "sport"), Verdict::TooShort);
        assert_eq!(judge("sport/+", "sport\0"), Verdict::Match);
    }

    #[test]
    fn wildcards_jump_past_reserved_topics_at_once() {
        // spec(v5): [MQTT-4.7.2-1]
        for filter in ["#", "+/x", "+"] {
            assert_eq!(judge(filter, "$SYS\0x"), Verdict::Jump("%", ""));
        }
        assert_eq!(judge("$SYS/#", "$SYS\0x"), Verdict::Match);
    }
}
