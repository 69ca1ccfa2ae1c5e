//! The levels right below a level, as somebody sees them who opens a tree one branch at a time.
//!
//! A subtree is a range of keys, so whatever lies below a child is passed over with one jump: the cost is a few
//! look-ups for each child, however many topics there are below it.

use super::{KEY_SEPARATOR, RetainedTree, key_of};
use std::ops::Bound;

/// Sorts behind the separator, and before or with every other character: appended to a key it leads behind the
/// subtree of the key.
const BEHIND_SUBTREE: char = '\u{1}';

/// A level below another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child<'a, T> {
    /// Its own text.
    pub level: &'a str,
    /// The message of the topic that ends here.
    pub message: Option<&'a T>,
    /// Whether there are topics below it.
    pub has_children: bool,
}

impl<T> RetainedTree<T> {
    /// The levels right below `below`, at most `most` of them, in order, after the level `after`. `below` is a
    /// beginning of topics that ends with a separator, or empty for the first levels.
    pub fn children(&self, below: &str, after: Option<&str>, most: usize) -> Vec<Child<'_, T>> {
        let prefix = key_of(below);
        let mut children = Vec::new();
        let mut from = prefix.clone();
        if let Some(level) = after {
            from.push_str(level);
            from.push(BEHIND_SUBTREE);
        }
        while children.len() < most {
            let behind = (Bound::Included(from.as_str()), Bound::Unbounded);
            let Some((key, value)) = self.messages.range::<str, _>(behind).next() else {
                break;
            };
            let Some(rest) = key.strip_prefix(prefix.as_str()) else {
                break;
            };
            let level = rest.split(KEY_SEPARATOR).next().unwrap_or_default();
            let has_message = level.len() == rest.len();
            from.truncate(prefix.len());
            from.push_str(level);
            let has_children = !has_message || self.has_below(&from);
            children.push(Child { level, message: has_message.then_some(value), has_children });
            from.push(BEHIND_SUBTREE);
        }
        children
    }

    fn has_below(&self, key: &str) -> bool {
        let behind = (Bound::Excluded(key), Bound::Unbounded);
        let next = self.messages.range::<str, _>(behind).next();
        next.and_then(|(next, _)| next.strip_prefix(key)).is_some_and(|rest| rest.starts_with(KEY_SEPARATOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(topics: &[&str]) -> RetainedTree<String> {
        let mut tree = RetainedTree::new();
        for topic in topics {
            tree.insert(topic, (*topic).to_owned());
        }
        tree
    }

    fn shown(tree: &RetainedTree<String>, below: &str, after: Option<&str>, most: usize) -> Vec<String> {
        let children = tree.children(below, after, most);
        let show = |child: &Child<'_, String>| {
            format!(
                "{}{}{}",
                child.level,
                if child.message.is_some() { "!" } else { "" },
                if child.has_children { "/" } else { "" }
            )
        };
        children.iter().map(show).collect()
    }

    #[test]
    fn each_level_is_shown_once_with_what_it_is() {
        let tree = tree(&["a", "a/b", "a/b/c", "a\u{1}", "ab/c", "b", "/x", "//y", "$SYS/a"]);
        assert_eq!(shown(&tree, "", None, 10), ["/", "$SYS/", "a!/", "a\u{1}!", "ab/", "b!"]);
        assert_eq!(shown(&tree, "a/", None, 10), ["b!/"]);
        assert_eq!(shown(&tree, "/", None, 10), ["/", "x!"]);
        assert_eq!(shown(&tree, "a/b/c/", None, 10), [""; 0]);
        assert_eq!(shown(&tree, "ab/", None, 10), ["c!"]);
    }

    #[test]
    fn pages_go_on_behind_the_last_level_also_if_it_is_gone() {
        let mut tree = tree(&["a/1", "a/2", "b", "b/1", "c"]);
        assert_eq!(shown(&tree, "", None, 2), ["a/", "b!/"]);
        assert_eq!(shown(&tree, "", Some("b"), 2), ["c!"]);
        tree.remove("b");
        tree.remove("b/1");
        assert_eq!(shown(&tree, "", Some("b"), 2), ["c!"]);
        assert_eq!(shown(&tree, "", Some("c"), 2), [""; 0]);
    }

    #[test]
    fn a_child_with_a_hundred_thousand_topics_below_costs_no_more_than_others() {
        let mut tree = RetainedTree::new();
        for number in 0..100_000 {
            tree.insert(&format!("device/{number}/state"), ());
        }
        tree.insert("other", ());
        let mut levels = Vec::new();
        while levels.len() < 100_000 {
            let after = levels.last().cloned();
            let page = tree.children("device/", after.as_deref(), 1000);
            assert_eq!(page.len(), 1000);
            levels.extend(page.iter().map(|child| child.level.to_owned()));
        }
        levels.sort();
        levels.dedup();
        assert_eq!(levels.len(), 100_000);
        assert_eq!(tree.children("", None, 10).len(), 2);
    }
}
