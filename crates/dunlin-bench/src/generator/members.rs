//! Who takes part in a run: subscribers and publishers are connected, and watched by the poll.

use std::time::Instant;

use super::{ALARM, Generator, Timetable};
use crate::Error;
use crate::alarm::Alarm;
use crate::connection::Connection;
use crate::group::Group;
use crate::handshake::{Connected, Session, Target};
use crate::publisher::{Limits, Outgoing, Publisher};
use crate::scenario::{Rate, Subscribers, Traffic};
use crate::schedule::Schedule;
use crate::subscriber::{Hearing, Subscriber};

impl Generator {
    /// Connects everybody of a scenario. Subscribers that are to be away have subscribed and gone.
    pub(crate) fn connect(target: &Target, traffic: &Traffic) -> Result<Self, Error> {
        let mut generator = Self::new(traffic.qos, traffic.is_stored())?;
        generator.arrivals.group = traffic.shared.then(|| Group::new(traffic.publishers));
        for index in 0..traffic.subscribers {
            generator.add_subscriber(target, traffic, index)?;
        }
        for index in 0..traffic.publishers {
            let topic = traffic.topic(index);
            let outgoing = Outgoing {
                topic: &topic,
                numbers: None,
                retain: false,
                qos: traffic.qos,
                payload_bytes: traffic.payload_bytes,
            };
            let limits = Limits {
                window: traffic.window,
                receivers: traffic.receivers(index),
                ahead_max: traffic.ahead_max,
                messages_max: u64::MAX,
            };
            generator.add_publisher(target, &format!("{}-p{index}", traffic.prefix), outgoing, limits)?;
        }
        if let Some(Rate::PerSecond(rate_per_s)) = traffic.rate {
            generator.keep_to(rate_per_s)?;
        }
        Ok(generator)
    }

    /// One publisher of messages that are stored, with nobody there to receive them.
    pub(crate) fn publisher(target: &Target, outgoing: Outgoing<'_>, limits: Limits) -> Result<Self, Error> {
        let mut generator = Self::new(outgoing.qos, true)?;
        generator.add_publisher(target, "bench-p", outgoing, limits)?;
        Ok(generator)
    }

    /// All subscribers come before the first publisher, as their tokens do.
    fn add_subscriber(&mut self, target: &Target, traffic: &Traffic, index: u32) -> Result<(), Error> {
        let name = format!("{}-s{index}", traffic.prefix);
        let session = match traffic.presence {
            Subscribers::Clean => Session::Clean,
            Subscribers::Persistent | Subscribers::Away => Session::Persistent,
        };
        let mut connected = target.connect(&name, session)?;
        connected.subscribe(&traffic.filter(index), traffic.qos)?;
        if traffic.presence == Subscribers::Away {
            connected.begin_disconnect()?;
            return connected.finish_disconnect();
        }
        let hearing = match traffic.shared {
            true => Hearing::Member,
            false => Hearing::every(traffic.senders(index), traffic.topics),
        };
        self.adopt(connected, name, hearing)
    }

    /// Takes over a subscriber that hears a part of what all `publishers` send.
    pub(crate) fn adopt_hearer(
        &mut self,
        connected: Connected,
        name: String,
        publishers: u32,
    ) -> Result<(), Error> {
        self.adopt(connected, name, Hearing::part(publishers))
    }

    fn adopt(&mut self, connected: Connected, name: String, hearing: Hearing) -> Result<(), Error> {
        let mut connection = Connection::of_client(connected, name)?;
        self.watch(&mut connection)?;
        self.subscribers.push(Subscriber::new(connection, hearing));
        Ok(())
    }

    /// Connects one more publisher.
    pub(crate) fn add_publisher(
        &mut self,
        target: &Target,
        name: &str,
        outgoing: Outgoing<'_>,
        limits: Limits,
    ) -> Result<(), Error> {
        let connected = target.connect(name, Session::Clean)?;
        let limits = Limits { window: limits.window.min(connected.receive_maximum), ..limits };
        let mut connection = Connection::of_client(connected, name.to_owned())?;
        self.watch(&mut connection)?;
        let index = self.publishers.len() as u32;
        let publisher = Publisher::new(connection, index, outgoing, limits, target.version);
        self.publishers.push(if self.is_stored { publisher.timed() } else { publisher });
        self.arrivals.progress.push(0);
        Ok(())
    }

    /// Has the publishers keep to a rate, from now on.
    fn keep_to(&mut self, rate_per_s: u32) -> Result<(), Error> {
        let publishers = self.publishers.len() as u32;
        let schedule = Schedule { start: Instant::now(), rate_per_s, publishers };
        self.publishers.iter_mut().for_each(|publisher| publisher.keep_to(schedule));
        let alarm = Alarm::new(self.poll.registry(), ALARM)?;
        self.timetable = Some(Timetable { schedule, end: None, alarm });
        Ok(())
    }

    fn watch(&mut self, connection: &mut Connection) -> Result<(), Error> {
        connection.register(self.poll.registry(), self.is_readable.len())?;
        self.is_readable.push(false);
        Ok(())
    }
}
