//! The filters of a Session's own subscriptions, in order.
//!
//! Most Sessions have one, and take its text and nothing else. Several lie in one text, each ended by U+0000, which
//! no filter contains ([MQTT-4.7.3-2]), beside their places in alphabetical order: 5 bytes a filter more than its
//! text, where a `Box<str>` for each takes 16 here and about as many in the allocator.

use std::mem;

/// See the top of the file.
#[derive(Debug)]
pub enum Filters {
    /// The only one.
    One(Box<str>),
    /// None at all, or any number.
    Several(Option<Box<Table>>),
}

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Table {
    texts: String,
    /// Where each begins, in the order of the filters.
    places: Vec<u32>,
    /// Bytes of `texts` whose filters are gone.
    unused: usize,
}

impl Default for Filters {
    fn default() -> Self {
        Self::Several(None)
    }
}

impl Filters {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Several(table) => table.as_ref().map_or(0, |table| table.places.len()),
        }
    }

    /// Bytes of their texts.
    pub fn bytes(&self) -> usize {
        match self {
            Self::One(only) => only.len(),
            Self::Several(table) => table.as_ref().map_or(0, |table| table.bytes()),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is one of them.
    pub fn contains(&self, filter: &str) -> bool {
        match self {
            Self::One(only) => **only == *filter,
            Self::Several(table) => table.as_ref().is_some_and(|table| table.find(filter).is_ok()),
        }
    }

    /// Adds one; false if it is there.
    pub fn insert(&mut self, filter: &str) -> bool {
        if self.is_empty() {
            *self = Self::One(filter.into());
            return true;
        }
        if self.contains(filter) {
            return false;
        }
        if let Self::One(only) = self {
            let mut table = Box::<Table>::default();
            table.insert(only);
            *self = Self::Several(Some(table));
        }
        match self {
            Self::Several(Some(table)) => table.insert(filter),
            _ => false,
        }
    }

    /// Removes one; false if there is none such.
    pub fn remove(&mut self, filter: &str) -> bool {
        let existed = self.contains(filter);
        match self {
            Self::Several(Some(table)) if table.places.len() > 1 => table.remove(filter),
            // It was the last.
            _ if existed => *self = Self::default(),
            _ => {}
        }
        existed
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (only, table) = match self {
            Self::One(only) => (Some(&**only), None),
            Self::Several(table) => (None, table.as_deref()),
        };
        let several = table.into_iter().flat_map(|table| table.places.iter().map(|place| table.at(*place)));
        only.into_iter().chain(several)
    }
}

impl Table {
    fn bytes(&self) -> usize {
        self.texts.len() - self.unused - self.places.len()
    }

    fn at(&self, place: u32) -> &str {
        let text = self.texts.get(place as usize..).unwrap_or_default();
        text.split('\0').next().unwrap_or_default()
    }

    fn find(&self, filter: &str) -> Result<usize, usize> {
        self.places.binary_search_by(|place| self.at(*place).cmp(filter))
    }

    /// False if it is there. Places have 32 bits: `limits.max_subscription_bytes` is 1 GB at the most, and holes at most
    /// double that.
    fn insert(&mut self, filter: &str) -> bool {
        let (Err(position), Ok(place)) = (self.find(filter), u32::try_from(self.texts.len())) else {
            return false;
        };
        self.texts.push_str(filter);
        self.texts.push('\0');
        self.places.insert(position, place);
        true
    }

    fn remove(&mut self, filter: &str) {
        if let Ok(position) = self.find(filter) {
            self.places.remove(position);
            self.unused += filter.len() + 1;
        }
        if self.unused * 2 > self.texts.len() {
            self.compact();
        }
    }

    /// Writes the texts anew, without those that are gone.
    fn compact(&mut self) {
        let before = mem::take(self);
        self.texts.reserve_exact(before.texts.len() - before.unused);
        self.places.reserve_exact(before.places.len());
        for place in &before.places {
            // It was smaller before.
            self.places.push(self.texts.len() as u32);
            self.texts.push_str(before.at(*place));
            self.texts.push('\0');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn they_are_a_sorted_set_however_they_come_and_go() {
        let (mut filters, mut model) = (Filters::default(), BTreeSet::new());
        let mut state = 1_u32;
        for step in 0..4_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Many come, and then all but few go.
            let is_new = (state >> 8) % 4 < if step / 1_000 % 2 == 0 { 3 } else { 1 };
            let filter = format!("a/{}/+", (state >> 12) % 40);
            match is_new {
                true => assert_eq!(filters.insert(&filter), model.insert(filter.clone()), "{filter}"),
                false => assert_eq!(filters.remove(&filter), model.remove(&filter), "{filter}"),
            }
            assert_eq!(filters.len(), model.len());
            assert_eq!(filters.bytes(), model.iter().map(String::len).sum());
            assert_eq!(filters.is_empty(), model.is_empty());
            assert_eq!(filters.contains("a/7/+"), model.contains("a/7/+"));
            assert!(filters.iter().eq(model.iter().map(String::as_str)));
        }
    }

    #[test]
    fn one_takes_its_text_and_two_pointers() {
        assert_eq!(size_of::<Filters>(), size_of::<Box<str>>());
    }
}
