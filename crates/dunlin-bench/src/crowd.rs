//! Many persistent Sessions: they are made, and later asked for what waits in them.
//!
//! They come in waves of a few hundred connections. Each step is sent on all connections of a wave before the
//! first answer is read, so that a broker which commits before it answers commits once for many.

use dunlin_codec::QoS;

use crate::Error;
use crate::collector::Collector;
use crate::handshake::{Connected, Session, Target};
use crate::numbered::numbered;

/// Connections at once.
const WAVE: u32 = 250;

/// Sessions with one Subscription each, to a topic of its own number.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    pub(crate) target: Target,
    /// How many.
    pub(crate) sessions: u32,
    /// The pattern of the topics.
    pub(crate) topic: &'static str,
}

/// What is left of a crowd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Survivors {
    /// Sessions that the broker had.
    pub(crate) sessions: u64,
    /// Different messages that waited in them.
    pub(crate) messages: u64,
}

impl Crowd {
    /// Makes the Sessions, with their Subscriptions at QoS 1, and leaves them.
    pub(crate) fn create(&self) -> Result<(), Error> {
        self.in_waves(|wave| {
            for (index, connected) in wave.iter_mut() {
                connected.begin_subscribe(&numbered(self.topic, *index), QoS::AtLeastOnce)?;
            }
            for (index, connected) in wave.iter_mut() {
                connected.finish_subscribe(&numbered(self.topic, *index), QoS::AtLeastOnce)?;
            }
            Ok(true)
        })
    }

    /// Asks each Session for the `messages_each` that should wait in it. It ends with the first wave that
    /// lacks a message, as each lack has to be waited for: what it counts is then too little.
    pub(crate) fn count(&self, messages_each: u32) -> Result<Survivors, Error> {
        let mut collector = Collector::new(self.sessions * messages_each);
        let mut survivors = Survivors::default();
        self.in_waves(|wave| {
            for (_, connected) in wave.iter_mut().filter(|(_, connected)| connected.session_present) {
                survivors.sessions += 1;
                let expected = collector.received + u64::from(messages_each);
                collector.collect(connected, expected)?;
                if collector.received < expected {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        survivors.messages = collector.received;
        Ok(survivors)
    }

    /// Connects wave after wave, lets `work` do its part with each and disconnects it, until `work` says that
    /// it has enough.
    fn in_waves(
        &self,
        mut work: impl FnMut(&mut [(u32, Connected)]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        for first in (0..self.sessions).step_by(WAVE as usize) {
            let mut wave = Vec::new();
            for index in first..self.sessions.min(first + WAVE) {
                wave.push((index, self.target.begin(&client_identifier(index), Session::Persistent)?));
            }
            for (index, connected) in &mut wave {
                connected.finish(&client_identifier(*index))?;
            }
            let goes_on = work(&mut wave)?;
            for (_, connected) in &mut wave {
                connected.begin_disconnect()?;
            }
            for (_, connected) in wave {
                connected.finish_disconnect()?;
            }
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn client_identifier(index: u32) -> String {
    format!("bench-c{index}")
}
