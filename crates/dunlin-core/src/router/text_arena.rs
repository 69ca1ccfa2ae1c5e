//! The texts of filters and levels, without an allocation for each.
//!
//! A `Box<str>` costs 16 bytes for the pointer and its length and about as many again inside the
//! allocator; here a text costs a [`TextRef`] of 6 bytes and its length rounded up to 8. Pages of
//! 4 KiB hold texts of one size class each; an empty page is given back, so that churn among lengths
//! does not grow the arena. Texts above 256 bytes, which are rare, are boxed.

use slab::Slab;

const PAGE_BYTES: usize = 4096;
const GRAIN_BYTES: usize = 8;
const SHORT_BYTES_MAX: usize = 256;
const CLASSES: usize = SHORT_BYTES_MAX / GRAIN_BYTES;
/// A page of the smallest class has this many slots, so a reference spends 9 bits on the slot.
const SLOT_BITS: u32 = (PAGE_BYTES / GRAIN_BYTES).trailing_zeros();
const LONG_TAG: u32 = 1 << 31;
const PAGES_MAX: usize = (LONG_TAG >> SLOT_BITS) as usize;
const NO_SLOT: u16 = u16::MAX;

/// Where a text of at most 65,535 bytes lies. The default refers to no text, and reads as empty.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) struct TextRef {
    place_high: u16,
    place_low: u16,
    length: u16,
}

impl TextRef {
    fn new(place: u32, length: usize) -> Self {
        Self { place_high: (place >> 16) as u16, place_low: place as u16, length: length as u16 }
    }

    #[inline]
    fn place(self) -> u32 {
        u32::from(self.place_high) << 16 | u32::from(self.place_low)
    }

    pub(super) fn len(self) -> usize {
        usize::from(self.length)
    }
}

impl Default for TextRef {
    fn default() -> Self {
        Self::new(u32::MAX, 0)
    }
}

#[derive(Debug)]
struct Page {
    /// Empty while the page is given back.
    bytes: Box<[u8]>,
    slot_bytes: u16,
    used: u16,
    /// Slots from here on were never used.
    fresh: u16,
    /// The first slot of a list of freed ones, each holding the index of the next.
    freed: u16,
}

impl Page {
    fn new(slot_bytes: usize) -> Self {
        let bytes = vec![0; PAGE_BYTES].into_boxed_slice();
        Self { bytes, slot_bytes: slot_bytes as u16, used: 0, fresh: 0, freed: NO_SLOT }
    }

    fn given_back() -> Self {
        Self { bytes: Box::default(), slot_bytes: 0, used: 0, fresh: 0, freed: NO_SLOT }
    }

    fn slots(&self) -> u16 {
        (self.bytes.len() as u16).checked_div(self.slot_bytes).unwrap_or(0)
    }

    fn is_full(&self) -> bool {
        self.used == self.slots()
    }

    #[inline]
    fn slot(&self, slot: u16, length: usize) -> Option<&[u8]> {
        let start = usize::from(slot) * usize::from(self.slot_bytes);
        self.bytes.get(start..start + length)
    }

    fn slot_mut(&mut self, slot: u16, length: usize) -> Option<&mut [u8]> {
        let start = usize::from(slot) * usize::from(self.slot_bytes);
        self.bytes.get_mut(start..start + length)
    }

    fn take_slot(&mut self) -> Option<u16> {
        if self.is_full() {
            return None;
        }
        let slot = if self.freed == NO_SLOT {
            self.fresh += 1;
            self.fresh - 1
        } else {
            let slot = self.freed;
            let next = self.slot(slot, 2)?;
            self.freed = u16::from_le_bytes(next.try_into().ok()?);
            slot
        };
        self.used += 1;
        Some(slot)
    }

    fn free_slot(&mut self, slot: u16) {
        let next = self.freed.to_le_bytes();
        if let Some(bytes) = self.slot_mut(slot, next.len()) {
            bytes.copy_from_slice(&next);
            self.freed = slot;
            self.used -= 1;
        }
    }
}

/// An arena of byte strings of at most 65,535 bytes each.
#[derive(Debug)]
pub(super) struct TextArena {
    pages: Vec<Page>,
    /// Indices of pages that were given back.
    vacant: Vec<u32>,
    /// For each size class the pages that may have room; what no longer does is dropped when met.
    roomy: Vec<Vec<u32>>,
    long: Slab<Box<[u8]>>,
    long_bytes: usize,
}

impl TextArena {
    pub(super) fn new() -> Self {
        Self {
            pages: Vec::new(),
            vacant: Vec::new(),
            roomy: vec![Vec::new(); CLASSES],
            long: Slab::new(),
            long_bytes: 0,
        }
    }

    /// Copies a text of at most 65,535 bytes in.
    pub(super) fn insert(&mut self, text: &[u8]) -> TextRef {
        debug_assert!(text.len() <= usize::from(u16::MAX));
        let place = self.insert_short(text).unwrap_or_else(|| {
            self.long_bytes += text.len();
            LONG_TAG | self.long.insert(text.into()) as u32
        });
        TextRef::new(place, text.len())
    }

    #[inline]
    pub(super) fn get(&self, text: TextRef) -> &[u8] {
        let place = text.place();
        let found = if place & LONG_TAG == 0 {
            self.pages
                .get((place >> SLOT_BITS) as usize)
                .and_then(|page| page.slot((place & ((1 << SLOT_BITS) - 1)) as u16, text.len()))
        } else {
            self.long.get((place & !LONG_TAG) as usize).map(|text| &**text)
        };
        found.unwrap_or_default()
    }

    /// Frees a text. The reference must be one that was inserted and not yet removed.
    pub(super) fn remove(&mut self, text: TextRef) {
        let place = text.place();
        if place & LONG_TAG != 0 {
            if let Some(text) = self.long.try_remove((place & !LONG_TAG) as usize) {
                self.long_bytes -= text.len();
            }
            if self.long.is_empty() {
                self.long = Slab::new();
            }
            return;
        }
        let index = place >> SLOT_BITS;
        let Some(page) = self.pages.get_mut(index as usize) else { return };
        let was_full = page.is_full();
        page.free_slot((place & ((1 << SLOT_BITS) - 1)) as u16);
        if page.used == 0 {
            *page = Page::given_back();
            self.vacant.push(index);
            if self.vacant.len() == self.pages.len() {
                let long = std::mem::take(&mut self.long);
                *self = Self { long, long_bytes: self.long_bytes, ..Self::new() };
            }
        } else if was_full && let Some(roomy) = self.roomy.get_mut(class_of(text.len())) {
            roomy.push(index);
        }
    }

    fn insert_short(&mut self, text: &[u8]) -> Option<u32> {
        if text.len() > SHORT_BYTES_MAX {
            return None;
        }
        let class = class_of(text.len());
        let index = self.page_with_room(class)?;
        let page = self.pages.get_mut(index as usize)?;
        let slot = page.take_slot()?;
        page.slot_mut(slot, text.len())?.copy_from_slice(text);
        Some(index << SLOT_BITS | u32::from(slot))
    }

    fn page_with_room(&mut self, class: usize) -> Option<u32> {
        let slot_bytes = (class + 1) * GRAIN_BYTES;
        let roomy = self.roomy.get_mut(class)?;
        while let Some(&index) = roomy.last() {
            let page = self.pages.get(index as usize)?;
            if usize::from(page.slot_bytes) == slot_bytes && !page.is_full() {
                return Some(index);
            }
            roomy.pop();
        }
        let index = match self.vacant.pop() {
            Some(index) => {
                *self.pages.get_mut(index as usize)? = Page::new(slot_bytes);
                index
            }
            None if self.pages.len() < PAGES_MAX => {
                self.pages.push(Page::new(slot_bytes));
                (self.pages.len() - 1) as u32
            }
            None => return None,
        };
        roomy.push(index);
        Some(index)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lists = self.vacant.capacity() + self.roomy.iter().map(Vec::capacity).sum::<usize>();
        (self.pages.len() - self.vacant.len()) * PAGE_BYTES
            + self.pages.capacity() * size_of::<Page>()
            + lists * size_of::<u32>()
            + self.long.capacity() * size_of::<Box<[u8]>>()
            + self.long_bytes
    }
}

fn class_of(length: usize) -> usize {
    length.saturating_sub(1) / GRAIN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_come_back_whole() {
        let mut arena = TextArena::new();
        let texts: Vec<Vec<u8>> = (0..600)
            .chain([65_535])
            .map(|length| (0..length).map(|i| (i * 7 + length) as u8).collect())
            .collect();
        let refs: Vec<TextRef> = texts.iter().map(|text| arena.insert(text)).collect();
        for (text, text_ref) in texts.iter().zip(&refs) {
            assert_eq!(arena.get(*text_ref), text);
        }
    }

    #[test]
    fn churn_among_lengths_does_not_grow_the_arena() {
        let mut arena = TextArena::new();
        let empty_bytes = arena.memory_bytes();
        let mut peak_bytes = 0;
        for round in 0..50_usize {
            let length = 8 + round * 5;
            let text = vec![b'x'; length];
            let refs: Vec<TextRef> = (0..1_000).map(|_| arena.insert(&text)).collect();
            peak_bytes = peak_bytes.max(arena.memory_bytes());
            refs.into_iter().for_each(|text_ref| arena.remove(text_ref));
        }
        assert!(peak_bytes < 1_000 * 256 * 5 / 4, "{peak_bytes} bytes");
        assert_eq!(arena.memory_bytes(), empty_bytes);
    }

    #[test]
    fn freed_slots_are_used_again() {
        let mut arena = TextArena::new();
        let refs: Vec<TextRef> = (0..1_000_u32).map(|i| arena.insert(&i.to_be_bytes())).collect();
        let grown_bytes = arena.memory_bytes();
        for text_ref in refs.iter().step_by(2) {
            arena.remove(*text_ref);
        }
        for i in 0..500_u32 {
            arena.insert(&(i + 5_000).to_be_bytes());
        }
        assert!(arena.memory_bytes() <= grown_bytes + 64);
        for (i, text_ref) in refs.iter().enumerate().skip(1).step_by(2) {
            assert_eq!(arena.get(*text_ref), (i as u32).to_be_bytes());
        }
    }
}
