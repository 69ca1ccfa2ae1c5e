//! The client: Session and connection, driven by whoever calls [`Client::next`].
//!
//! ```text
//! Down --> Opening --CONNACK--> Up --lost--> Pausing --> Opening
//!                               Up --the broker is to blame--> Leaving
//! ```
//!
//! [`Client::next`] may be dropped while it waits and called again, so it can stand beside a signal or a timer in a
//! `select!`. Everything that is under way is in the value.

use std::collections::VecDeque;
use std::pin::Pin;

use dunlin_codec::{
    Packet, ProtocolVersion, ReasonCode, Subscribe, SubscribeFilters, SubscriptionFilter,
    SubscriptionOptions, Unsubscribe, UnsubscribeFilters, encode_subscribe_filters,
    encode_unsubscribe_filters,
};
use tokio::time::{Sleep, sleep};

use super::back_off::BackOff;
use super::connection::Connection;
use super::error::ClientError;
use super::event::Event;
use super::message::{Message, OutgoingMessage, UserProperties};
use super::opening::{self, Welcome};
use super::options::{ClientOptions, DisconnectOptions, Reconnect};
use super::session::{Request, Session};

/// Something under way.
type UnderWay<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(super) enum Link {
    Down,
    Opening(UnderWay<Result<(Connection, Welcome), ClientError>>),
    Up(Box<Connection>),
    Leaving(UnderWay<ClientError>),
    Pausing(Pin<Box<Sleep>>),
}

/// See the top of the file.
pub struct Client {
    pub(super) options: ClientOptions,
    pub(super) session: Session,
    pub(super) link: Link,
    connections: u64,
    back_off: BackOff,
    pub(super) events: VecDeque<Event>,
    /// Why the connection cannot go on, found while nobody waited for it.
    failure: Option<ClientError>,
    wants_room: bool,
    last_number: u64,
}

impl Client {
    /// A client that connects with the first [`Client::next`].
    pub fn new(options: ClientOptions) -> Self {
        // The broker may know identifiers of a process before this one.
        let last_identifier = if options.clean_start { 0 } else { getrandom::u32().unwrap_or(0) as u16 };
        Self {
            options,
            session: Session::new(last_identifier),
            link: Link::Down,
            connections: 0,
            back_off: BackOff::default(),
            events: VecDeque::new(),
            failure: None,
            wants_room: false,
            last_number: 0,
        }
    }

    /// Waits for what happens next.
    ///
    /// # Errors
    /// When there is no connection and no other attempt is to be made.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let Err(error) = self.step().await {
                self.lose(error)?;
            }
            if self.wants_room && self.is_roomy() {
                self.wants_room = false;
                self.events.push_back(Event::Room);
            }
        }
    }

    /// What is there to tell without waiting for the network. Nothing is sent meanwhile, acknowledgements neither.
    pub fn ready(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let Link::Up(connection) = &mut self.link else { return None };
            let received = match connection.take_frame() {
                Ok(Some(frame)) => self.receive(&frame),
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            if let Err(error) = received {
                self.failure = Some(error);
                return None;
            }
        }
    }

    /// Takes a message, to be sent in its turn, and returns its number. Its fate is told by an event.
    pub fn publish(&mut self, message: OutgoingMessage) -> u64 {
        self.last_number += 1;
        self.session.outbound.push(self.last_number, message);
        self.last_number
    }

    /// Whether one more message would go on its way at once. If not, [`Event::Room`] tells when.
    pub fn has_room(&mut self) -> bool {
        self.wants_room = !self.is_roomy();
        !self.wants_room
    }

    fn is_roomy(&self) -> bool {
        let is_writable = matches!(&self.link, Link::Up(connection) if connection.has_room());
        is_writable && self.session.outbound.unfinished() < usize::from(self.options.in_flight_max)
    }

    /// How many messages wait for their turn or for an acknowledgement.
    pub fn unfinished(&self) -> usize {
        self.session.outbound.unfinished()
    }

    /// Goes on until nothing is under way that a DISCONNECT would break off: messages of ours, requests, and exchanges
    /// of QoS 2. What happens meanwhile is told; messages that come need not be acknowledged.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn settle(&mut self, mut tell: impl FnMut(Event)) -> Result<(), ClientError> {
        loop {
            self.events.drain(..).for_each(&mut tell);
            if self.session.is_settled() {
                return Ok(());
            }
            if let Err(error) = self.step().await {
                self.lose(error)?;
            }
        }
    }

    /// A message is dealt with: the broker may forget it.
    pub fn acknowledge(&mut self, message: &Message) {
        let Some(identifier) = message.packet_identifier else { return };
        let answer = self.session.dealt_with(identifier, message.qos);
        match (&mut self.link, answer) {
            (Link::Up(connection), Some(answer)) if connection.number == message.connection_number => {
                self.reply(&answer);
            }
            // A broker that has the Session sends the message again, and is answered then.
            _ => {}
        }
    }

    /// Asks for Subscriptions. To be called after [`Event::Connected`]: a request is forgotten with its connection.
    pub fn subscribe(
        &mut self,
        filters: &[(SubscriptionFilter<'_>, SubscriptionOptions)],
        subscription_identifier: Option<u32>,
        user_properties: &UserProperties,
    ) {
        let Some(packet_identifier) = self.session.request(Request::Subscribe) else { return };
        let filters = encode_subscribe_filters(filters);
        self.reply(&Packet::Subscribe(Subscribe {
            packet_identifier,
            subscription_identifier,
            user_properties: user_properties.view(),
            filters: SubscribeFilters::from_encoded(&filters),
        }));
    }

    /// Ends Subscriptions, in the same way.
    pub fn unsubscribe(&mut self, filters: &[SubscriptionFilter<'_>], user_properties: &UserProperties) {
        let Some(packet_identifier) = self.session.request(Request::Unsubscribe) else { return };
        let filters = encode_unsubscribe_filters(filters);
        self.reply(&Packet::Unsubscribe(Unsubscribe {
            packet_identifier,
            user_properties: user_properties.view(),
            filters: UnsubscribeFilters::from_encoded(&filters),
        }));
    }

    /// Ends the connection, with all sent that was handed over.
    ///
    /// # Errors
    /// When the connection is lost before the broker can have it all.
    pub async fn disconnect(
        self,
        reason_code: ReasonCode,
        disconnect: &DisconnectOptions,
    ) -> Result<(), ClientError> {
        match self.link {
            Link::Up(connection) => {
                connection.leave(&self.options, &disconnect.disconnect(reason_code)).await
            }
            _ => Ok(()),
        }
    }

    /// One step towards an event.
    async fn step(&mut self) -> Result<(), ClientError> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        match &mut self.link {
            Link::Down => {
                self.connections += 1;
                let opening = opening::open(self.options.clone(), self.connections);
                self.link = Link::Opening(Box::pin(opening));
                Ok(())
            }
            Link::Opening(opening) => {
                let (connection, welcome) = opening.await?;
                self.link = Link::Up(Box::new(connection));
                self.begin(welcome);
                Ok(())
            }
            Link::Leaving(leaving) => Err(leaving.await),
            Link::Pausing(pause) => {
                pause.await;
                self.link = Link::Down;
                Ok(())
            }
            Link::Up(connection) => {
                if let Some(frame) = connection.take_frame()? {
                    return self.receive(&frame);
                }
                self.transmit()?;
                match &mut self.link {
                    Link::Up(connection) if self.events.is_empty() => {
                        connection.exchange(&self.options).await
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// There is a connection.
    fn begin(&mut self, welcome: Welcome) {
        self.back_off.reset();
        if let Some(name) = welcome.assigned_client_identifier {
            self.options.client_identifier = name;
        }
        // 3.1 has no flag for it: who asked for an old Session is taken to have got it.
        let is_resumed = match self.options.version {
            ProtocolVersion::V3_1 => !self.options.clean_start,
            _ => welcome.session_present,
        };
        let done = self.session.begin(is_resumed);
        self.events.push_back(Event::Connected { session_present: welcome.session_present });
        self.events.extend(done.into_iter().map(|_| Event::Published));
    }

    /// The connection is gone, or was not made.
    fn lose(&mut self, error: ClientError) -> Result<(), ClientError> {
        let link = std::mem::replace(&mut self.link, Link::Down);
        let was_up = matches!(link, Link::Up(_));
        if let (Link::Up(connection), Some(reason_code)) = (link, error.complaint()) {
            let options = self.options.clone();
            self.link = Link::Leaving(Box::pin(async move {
                connection.complain(&options, reason_code).await;
                error
            }));
            return Ok(());
        }
        let goes_on = match self.options.reconnect {
            Reconnect::Never => false,
            Reconnect::WhenLost => was_up || self.connections > 1,
            Reconnect::Always => true,
        };
        if !goes_on || !error.may_pass() {
            return Err(error);
        }
        let pause = self.back_off.pause();
        self.link = Link::Pausing(Box::pin(sleep(pause)));
        self.events.push_back(Event::Lost { error, pause });
        Ok(())
    }

    /// Sends a packet that is no PUBLISH.
    pub(super) fn reply(&mut self, packet: &Packet<'_>) {
        if let Link::Up(connection) = &mut self.link {
            self.failure = connection.send(&self.options, packet).err().or(self.failure.take());
        }
    }
}
