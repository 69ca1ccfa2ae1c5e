//! A relay in a thread of a test, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use dunlin_bench::Error;
use dunlin_bench::relay::Relay;
use dunlin_bench::scenario::Overrides;
use dunlin_bench::transport::Transport;

/// A relay in a thread; stops with this value.
pub struct RunningRelay {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl RunningRelay {
    /// One that is reached over this transport.
    pub fn over(transport: Transport) -> Self {
        let relay = Relay::bind("127.0.0.1:0".parse().unwrap(), transport).unwrap();
        let address = relay.address().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = Some(thread::spawn({
            let stop = Arc::clone(&stop);
            move || relay.run(&stop)
        }));
        Self { address, stop, thread }
    }
}

impl Drop for RunningRelay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A scenario of messages, made short.
pub fn small(overrides: Overrides) -> Overrides {
    Overrides {
        publishers: overrides.publishers.or(Some(3)),
        subscribers: overrides.subscribers.or(Some(3)),
        topics: overrides.topics.or(Some(3)),
        warm_up_messages: Some(100),
        duration_ms: Some(50),
        ..overrides
    }
}
