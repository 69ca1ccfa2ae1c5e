//! Who there is: publishers, subscribers who stay, come and go, or stay away, those who retain, those with a
//! Will, and the members of a group.
//!
//! Roles are the same in every run, so that no run is without one of them; versions, windows and manners are
//! a seed's choice.

use dunlin_codec::{ProtocolVersion, QoS};

use crate::client::{Client, Habits};
use crate::history::History;
use crate::random::Random;

const LETTERS: &[&str] = &["t/a", "t/b", "t/c", "t/d"];
const JOBS: &[&str] = &["jobs/a", "jobs/b"];
const EVERYTHING: &[&str] = &["t/a", "t/b", "jobs/a", "jobs/b"];
/// Topics with Retained Messages.
pub const RETAINED: &[&str] = &["r/a", "r/b", "r/c", "r/d"];

/// Clients of a run.
pub const SIZE: usize = 15;

/// What a role subscribes to, each filter with its QoS.
type Filters = &'static [(&'static str, QoS)];

const AT_LEAST: QoS = QoS::AtLeastOnce;
const EXACTLY: QoS = QoS::ExactlyOnce;

/// A delay of a Will that does not pass within a run, so that it must not come.
const LONG_DELAY_S: u32 = 100_000;

struct Role {
    name: &'static str,
    topics: &'static [&'static str],
    retains: bool,
    filters: Filters,
    wanders: Option<(&'static str, QoS)>,
    leaves_per_mille: usize,
    absence_events: (usize, usize),
    will: Option<(&'static str, u32)>,
}

const NOBODY: Role = Role {
    name: "",
    topics: &[],
    retains: false,
    filters: &[],
    wanders: None,
    leaves_per_mille: 0,
    absence_events: (0, 0),
    will: None,
};

const MEMBER: Role = Role {
    name: "member",
    filters: &[("$share/workers/jobs/#", EXACTLY)],
    leaves_per_mille: 20,
    absence_events: (50, 500),
    ..NOBODY
};

const ROLES: [Role; SIZE] = [
    Role { name: "publisher", topics: LETTERS, ..NOBODY },
    Role { name: "publisher", topics: LETTERS, leaves_per_mille: 10, absence_events: (10, 200), ..NOBODY },
    Role { name: "publisher", topics: EVERYTHING, will: Some(("w/publisher", 0)), ..NOBODY },
    Role { name: "foreman", topics: JOBS, ..NOBODY },
    Role { name: "keeper", topics: RETAINED, retains: true, ..NOBODY },
    Role { name: "keeper", topics: RETAINED, retains: true, leaves_per_mille: 10, ..NOBODY },
    Role {
        name: "steady",
        filters: &[("t/#", EXACTLY), ("w/+", EXACTLY), ("r/+", AT_LEAST)],
        wanders: Some(("t/+", AT_LEAST)),
        ..NOBODY
    },
    Role {
        name: "restless",
        filters: &[("t/a", AT_LEAST), ("t/+", EXACTLY), ("w/#", AT_LEAST), ("r/a", EXACTLY)],
        leaves_per_mille: 30,
        absence_events: (20, 300),
        ..NOBODY
    },
    Role {
        name: "absent",
        filters: &[("t/#", EXACTLY), ("w/#", EXACTLY)],
        leaves_per_mille: 100,
        absence_events: (2000, 6000),
        ..NOBODY
    },
    Role { name: "modest", filters: &[("t/b", AT_LEAST), ("r/#", AT_LEAST)], ..NOBODY },
    Role {
        name: "wanderer",
        filters: &[("t/d", EXACTLY)],
        wanders: Some(("t/c", EXACTLY)),
        leaves_per_mille: 10,
        absence_events: (20, 200),
        ..NOBODY
    },
    Role {
        name: "mourned",
        topics: &["t/d"],
        leaves_per_mille: 30,
        absence_events: (10, 100),
        will: Some(("w/mourned", 0)),
        ..NOBODY
    },
    Role {
        name: "patient",
        leaves_per_mille: 30,
        absence_events: (10, 100),
        will: Some(("w/patient", LONG_DELAY_S)),
        ..NOBODY
    },
    Role { wanders: Some(("t/a", EXACTLY)), ..MEMBER },
    MEMBER,
];

/// Makes the clients of a run; they are not connected yet.
pub fn gather(random: &mut Random, history: &mut History) -> Vec<Client> {
    let mut clients = Vec::new();
    for (number, role) in ROLES.iter().enumerate() {
        let identifier = format!("{}-{number}", role.name);
        history.clients.push(identifier.clone());
        let mut client = Client::new(number, identifier, habits(role, random));
        for (filter, qos) in role.filters {
            client.subscribe(filter, *qos, history);
        }
        clients.push(client);
    }
    clients
}

fn habits(role: &Role, random: &mut Random) -> Habits {
    // 3.1.1 knows no delay.
    let has_delay = role.will.is_some_and(|(_, delay_s)| delay_s > 0);
    let is_v5 = has_delay || random.chance(50);
    Habits {
        version: if is_v5 { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 },
        window: random.pick(&[1, 5, 20, 20]),
        receive_maximum: random.pick(&[1, 3, 20, 65_535]),
        topics: role.topics,
        retains: role.retains,
        wanders: role.wanders,
        acknowledges_late: random.chance(40),
        leaves_per_mille: role.leaves_per_mille,
        absence_events: role.absence_events,
        will: role.will,
    }
}
