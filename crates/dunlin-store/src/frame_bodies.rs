//! The message bodies in a frame that is not written yet.
//!
//! A message says where the log has it, and shards act on that at any moment: they let go of the body and read
//! it from there later. So it must not say so before it is true, and until the frame is written, what is in
//! the frame already is known here alone.

use super::replay::location;
use super::written_again::WrittenAgain;
use dunlin_core::journal::Segment;
use dunlin_core::message::{ApplicationMessage, MessageId};
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// See the top of the file.
#[derive(Default)]
pub(super) struct FrameBodies {
    /// Where in the payload each body begins. No client chooses a message's name, so the hash need not be safe against
    /// that: the standard one took a quarter of what storing a message takes.
    offsets: HashMap<MessageId, usize, FixedState>,
    /// Whose place is in the frame. A message that was read back may be there in several copies.
    messages: Vec<(ApplicationMessage, usize)>,
    /// Bytes of the bodies that the log had already.
    again_bytes: u64,
}

impl FrameBodies {
    /// The place of this message is in the frame from now on. If it is to begin at `offset`, because the frame
    /// did not have it, the answer is true.
    pub fn insert(&mut self, message: &ApplicationMessage, offset: usize) -> bool {
        // Those who get the same message mostly follow one another.
        if self.messages.last().is_some_and(|(last, _)| last.is(message)) {
            return false;
        }
        let held = *self.offsets.entry(message.id).or_insert(offset);
        self.messages.push((message.clone(), held));
        let is_new = held == offset;
        if is_new && message.location() != 0 {
            self.again_bytes += message.content_bytes() as u64;
        }
        is_new
    }

    /// Bytes of those bodies that the log had already, but too far back.
    pub fn again_bytes(&self) -> u64 {
        self.again_bytes
    }

    /// The frame is written, and its payload begins there. What the log had already is noted in `again`.
    pub fn written(&mut self, segment: Segment, payload_start: usize, mut again: Option<&mut WrittenAgain>) {
        for (message, offset) in self.messages.drain(..) {
            let place = location(segment, payload_start + offset);
            if let Some(again) = again.as_mut().filter(|_| message.location() != 0) {
                again.insert(&message, place);
            }
            message.set_location(place);
        }
    }
}
