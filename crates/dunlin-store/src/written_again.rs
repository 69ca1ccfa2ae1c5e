//! Where a pass has written bodies again.
//!
//! A Session that has let go of a body reads a copy of its own when it is to say the message again, and that
//! copy knows only the old place. Without this, a body that many Sessions share would be written again for each
//! of them.
//!
//! A place that is out of reach is no use to anybody, so what is held here is bounded by the small bodies that
//! fit into a few segments.

use dunlin_core::journal::Segment;
use dunlin_core::message::{ApplicationMessage, MessageId};
use std::collections::HashMap;

/// See the top of the file.
#[derive(Default)]
pub(super) struct WrittenAgain {
    places: HashMap<MessageId, u64>,
    /// No place is before this segment.
    least: Segment,
}

impl WrittenAgain {
    /// The body of this message was written again there.
    pub fn insert(&mut self, message: &ApplicationMessage, place: u64) {
        self.places.insert(message.id, place);
    }

    /// Lets the message know where it was written again, if it was.
    pub fn apply(&self, message: &ApplicationMessage) {
        if let Some(place) = self.places.get(&message.id).filter(|place| **place > message.location()) {
            message.set_location(*place);
        }
    }

    /// Nothing before this segment is of use any more.
    pub fn forget_before(&mut self, least: Segment) {
        if self.least < least {
            self.least = least;
            self.places.retain(|_, place| *place >> 32 >= u64::from(least.0));
        }
    }

    /// The pass is over.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
