//! The wildcard filters, indexed by level: which of them match a topic.
//!
//! A node stands for the first levels of filters. All literal children of all nodes share one hash
//! table keyed by (node, level); `+`, `#` and "ends here" are links in the node. A filter that is
//! alone below some level is a leaf there, whatever its depth, and its remaining levels are compared
//! as text: most of a million filters such as `device/<id>/+/set` need no node of their own. A leaf
//! becomes a node when a second filter arrives at it.
//!
//! ```text
//! root ─ "device" ─ node ─┬─ "17" ─ leaf device/17/+/set
//!                         ├─ "18" ─ node ─┬─ `+` ── leaf device/18/+/set
//!                         │               └─ `#` ── leaf device/18/#
//!                         └─ `+` ── leaf device/+/state
//! ```
//!
//! What must stay true: a filter has exactly one leaf; every node but the root has a leaf somewhere
//! below it (so that nodes are bounded by the levels of the filters that exist); a node's depth is
//! the number of levels that lead to it.

use smallvec::SmallVec;

use super::filter_store::{FilterId, FilterStore};
use super::levels::{HashedLevels, TextHasher, filter_matches, is_reserved, levels};
use super::paged_arena::PagedArena;
use super::sharded_table::ShardedTable;
use super::text_arena::{TextArena, TextRef};

const ROOT: u32 = 0;
const LEAF_TAG: u32 = 1 << 31;

/// What lies at the end of a step, packed into 32 bits.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
struct Link(u32);

enum Child {
    Nothing,
    Node(u32),
    Leaf(FilterId),
}

impl Link {
    const NOTHING: Link = Link(u32::MAX);

    fn node(index: u32) -> Self {
        Self(index)
    }

    fn leaf(FilterId(id): FilterId) -> Self {
        Self(LEAF_TAG | id)
    }

    #[inline]
    fn child(self) -> Child {
        match self {
            Link::NOTHING => Child::Nothing,
            Link(bits) if bits & LEAF_TAG != 0 => Child::Leaf(FilterId(bits & !LEAF_TAG)),
            Link(bits) => Child::Node(bits),
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::NOTHING
    }
}

#[derive(Debug, Default)]
struct Node {
    parent: u32,
    /// The last level of the node's path, unless that is `+`.
    level: TextRef,
    depth: u16,
    is_plus: bool,
    literal_children: u32,
    /// Where `+` leads.
    plus: Link,
    /// The filter that continues with `#`.
    multi: Link,
    /// The filter that ends here.
    here: Link,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.literal_children == 0 && [self.plus, self.multi, self.here] == [Link::NOTHING; 3]
    }
}

/// A literal child. Its level is that of the child node, or the level of the leaf's text at the
/// parent's depth.
#[derive(Copy, Clone, Debug)]
struct Edge {
    parent: u32,
    child: Link,
}

/// One step of a filter away from a node.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Step<'f> {
    Literal(&'f [u8]),
    Plus,
    Multi,
    End,
}

fn steps(filter: &[u8]) -> impl Iterator<Item = Step<'_>> {
    let through_levels = levels(filter).map(|level| match level {
        b"#" => Step::Multi,
        b"+" => Step::Plus,
        level => Step::Literal(level),
    });
    through_levels.chain(std::iter::once(Step::End))
}

/// The index of the wildcard filters of a [`FilterStore`].
#[derive(Debug)]
pub(super) struct WildcardTrie {
    nodes: PagedArena<Node>,
    edges: ShardedTable<Edge>,
    level_texts: TextArena,
}

impl WildcardTrie {
    pub(super) fn new() -> Self {
        let mut nodes = PagedArena::new();
        nodes.insert(Node::default());
        Self { nodes, edges: ShardedTable::new(), level_texts: TextArena::new() }
    }

    pub(super) fn find(&self, text: &[u8], filters: &FilterStore, hasher: &TextHasher) -> Option<FilterId> {
        let mut node = ROOT;
        for step in steps(text) {
            match self.link(node, step, filters, hasher).child() {
                Child::Node(child) => node = child,
                Child::Leaf(id) => return (filters.text(id) == text).then_some(id),
                Child::Nothing => return None,
            }
        }
        None
    }

    /// Indexes a filter that is not in the trie yet.
    pub(super) fn insert(&mut self, id: FilterId, filters: &FilterStore, hasher: &TextHasher) {
        let mut node = ROOT;
        let mut steps_ahead = steps(filters.text(id));
        while let Some(step) = steps_ahead.next() {
            match self.link(node, step, filters, hasher).child() {
                Child::Node(child) => node = child,
                Child::Leaf(other) => {
                    let (node, step, other_step) =
                        self.part((node, step), &mut steps_ahead, other, filters, hasher);
                    self.set_link(node, step, Link::leaf(id), filters, hasher);
                    self.set_link(node, other_step, Link::leaf(other), filters, hasher);
                    return;
                }
                Child::Nothing => {
                    self.set_link(node, step, Link::leaf(id), filters, hasher);
                    return;
                }
            }
        }
    }

    /// Puts nodes where the leaf `other` is, for as many steps as it has in common with the filter
    /// whose steps are ahead. Gives the node where the two part, and the step of each.
    ///
    /// All nodes are made before a leaf is linked again: finding the level of a leaf takes time that
    /// grows with its depth, and doing that at each of 65,536 levels would stall the worker.
    fn part<'f>(
        &mut self,
        (mut node, mut step): (u32, Step<'f>),
        steps_ahead: &mut impl Iterator<Item = Step<'f>>,
        other: FilterId,
        filters: &'f FilterStore,
        hasher: &TextHasher,
    ) -> (u32, Step<'f>, Step<'f>) {
        let depth = self.nodes.get(node).map_or(0, |node| usize::from(node.depth));
        let mut other_steps = steps(filters.text(other)).skip(depth + 1);
        loop {
            let child = self.new_node(node, step);
            self.set_link(node, step, Link::node(child), filters, hasher);
            node = child;
            step = steps_ahead.next().unwrap_or(Step::End);
            let other_step = other_steps.next().unwrap_or(Step::End);
            if step != other_step || step == Step::End {
                return (node, step, other_step);
            }
        }
    }

    /// Removes a filter, and the nodes that led to no other.
    pub(super) fn remove(&mut self, id: FilterId, filters: &FilterStore, hasher: &TextHasher) {
        let mut node = ROOT;
        for step in steps(filters.text(id)) {
            match self.link(node, step, filters, hasher).child() {
                Child::Node(child) => node = child,
                Child::Leaf(found) => {
                    debug_assert_eq!(found, id);
                    self.set_link(node, step, Link::NOTHING, filters, hasher);
                    return self.prune(node, filters, hasher);
                }
                Child::Nothing => return,
            }
        }
    }

    /// Appends all filters that match a topic, each once, in no particular order.
    pub(super) fn collect_matches(
        &self,
        topic: &[u8],
        filters: &FilterStore,
        hasher: &TextHasher,
        matched: &mut Vec<FilterId>,
    ) {
        let mut topic_levels = HashedLevels::new(topic);
        let mut waiting: SmallVec<[(u32, u32); 16]> = smallvec::smallvec![(ROOT, 0)];
        while let Some((index, depth)) = waiting.pop() {
            let Some(node) = self.nodes.get(index) else { continue };
            let wildcards_apply = depth > 0 || !is_reserved(topic);
            let mut follow = |child: Child| match child {
                Child::Node(child) => waiting.push((child, depth + 1)),
                Child::Leaf(id) => matched.push(id),
                Child::Nothing => {}
            };
            let checked = |link: Link| match link.child() {
                Child::Leaf(id) if !filter_matches(filters.text(id), topic) => Child::Nothing,
                child => child,
            };
            if wildcards_apply {
                follow(node.multi.child());
            }
            match topic_levels.get(depth as usize, hasher) {
                None => follow(node.here.child()),
                Some((level, level_hash)) => {
                    if node.literal_children > 0 {
                        follow(self.edge_towards(index, level, level_hash, topic, filters, hasher));
                    }
                    if wildcards_apply {
                        follow(checked(node.plus));
                    }
                }
            }
        }
    }

    /// Nodes beside the root.
    pub(super) fn nodes_count(&self) -> usize {
        self.nodes.len() - 1
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.nodes.memory_bytes() + self.edges.memory_bytes() + self.level_texts.memory_bytes()
    }

    fn link(&self, node: u32, step: Step<'_>, filters: &FilterStore, hasher: &TextHasher) -> Link {
        let Some(found) = self.nodes.get(node) else { return Link::NOTHING };
        match step {
            Step::Literal(level) => self.edge(node, level, hasher.text(level), filters, hasher),
            Step::Plus => found.plus,
            Step::Multi => found.multi,
            Step::End => found.here,
        }
    }

    fn set_link(
        &mut self,
        node: u32,
        step: Step<'_>,
        link: Link,
        filters: &FilterStore,
        hasher: &TextHasher,
    ) {
        let Some(found) = self.nodes.get_mut(node) else { return };
        match step {
            Step::Literal(level) => self.set_edge(node, level, link, filters, hasher),
            Step::Plus => found.plus = link,
            Step::Multi => found.multi = link,
            Step::End => found.here = link,
        }
    }

    fn edge(
        &self,
        parent: u32,
        level: &[u8],
        level_hash: u64,
        filters: &FilterStore,
        hasher: &TextHasher,
    ) -> Link {
        let names = EdgeNames { nodes: &self.nodes, level_texts: &self.level_texts, filters, hasher };
        let found = self.edges.find(hasher.edge(parent, level_hash), |edge| names.is(edge, parent, level));
        found.map(|edge| edge.child).unwrap_or_default()
    }

    /// The literal child that a topic leads to. A leaf is compared with the topic as a whole, which
    /// includes this level and saves finding it in the text.
    fn edge_towards(
        &self,
        parent: u32,
        level: &[u8],
        level_hash: u64,
        topic: &[u8],
        filters: &FilterStore,
        hasher: &TextHasher,
    ) -> Child {
        let is_it = |edge: &Edge| {
            edge.parent == parent
                && match edge.child.child() {
                    Child::Node(index) => {
                        self.nodes.get(index).is_some_and(|node| self.level_texts.get(node.level) == level)
                    }
                    Child::Leaf(id) => filter_matches(filters.text(id), topic),
                    Child::Nothing => false,
                }
        };
        let found = self.edges.find(hasher.edge(parent, level_hash), is_it);
        found.map_or(Child::Nothing, |edge| edge.child.child())
    }

    fn set_edge(
        &mut self,
        parent: u32,
        level: &[u8],
        child: Link,
        filters: &FilterStore,
        hasher: &TextHasher,
    ) {
        let names = EdgeNames { nodes: &self.nodes, level_texts: &self.level_texts, filters, hasher };
        let hash = hasher.edge(parent, hasher.text(level));
        let is_it = |edge: &Edge| names.is(edge, parent, level);
        let rehash = |edge: &Edge| names.hash(edge);
        let children_added = if child == Link::NOTHING {
            self.edges.remove(hash, is_it, rehash).map_or(0, |_| -1)
        } else if let Some(edge) = self.edges.find_mut(hash, is_it) {
            edge.child = child;
            0
        } else {
            self.edges.insert(hash, Edge { parent, child }, rehash);
            1
        };
        if let Some(node) = self.nodes.get_mut(parent) {
            node.literal_children = node.literal_children.saturating_add_signed(children_added);
        }
    }

    fn new_node(&mut self, parent: u32, step: Step<'_>) -> u32 {
        let depth = self.nodes.get(parent).map_or(0, |node| node.depth) + 1;
        let (level, is_plus) = match step {
            Step::Literal(level) => (self.level_texts.insert(level), false),
            _ => (TextRef::default(), true),
        };
        self.nodes.insert(Node { parent, level, depth, is_plus, ..Node::default() })
    }

    fn prune(&mut self, mut index: u32, filters: &FilterStore, hasher: &TextHasher) {
        while index != ROOT {
            let Some(node) = self.nodes.get(index).filter(|node| node.is_empty()) else { return };
            let (parent, level_text) = (node.parent, node.level);
            let level: SmallVec<[u8; 64]> = SmallVec::from_slice(self.level_texts.get(level_text));
            let step = if node.is_plus { Step::Plus } else { Step::Literal(&level) };
            self.set_link(parent, step, Link::NOTHING, filters, hasher);
            self.level_texts.remove(level_text);
            self.nodes.remove(index);
            // The arena gives its memory back when it is empty, which the root alone would prevent.
            if self.nodes_count() == 0
                && let Some(root) = self.nodes.remove(ROOT)
            {
                self.nodes.insert(root);
            }
            index = parent;
        }
    }
}

/// What it takes to know the level of an edge.
struct EdgeNames<'a> {
    nodes: &'a PagedArena<Node>,
    level_texts: &'a TextArena,
    filters: &'a FilterStore,
    hasher: &'a TextHasher,
}

impl<'a> EdgeNames<'a> {
    fn level(&self, edge: &Edge) -> &'a [u8] {
        match edge.child.child() {
            Child::Node(index) => self.nodes.get(index).map(|node| self.level_texts.get(node.level)),
            Child::Leaf(id) => {
                let depth = self.nodes.get(edge.parent).map_or(0, |node| usize::from(node.depth));
                levels(self.filters.text(id)).nth(depth)
            }
            Child::Nothing => None,
        }
        .unwrap_or_default()
    }

    fn is(&self, edge: &Edge, parent: u32, level: &[u8]) -> bool {
        edge.parent == parent && self.level(edge) == level
    }

    fn hash(&self, edge: &Edge) -> u64 {
        self.hasher.edge(edge.parent, self.hasher.text(self.level(edge)))
    }
}
