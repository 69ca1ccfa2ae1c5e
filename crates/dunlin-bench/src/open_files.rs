//! The limit of open files, which a connection counts against on both sides.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;

/// Files that are open besides connections: the poll, standard streams, what is read from `/proc`.
const OTHER_FILES: u64 = 50;

/// Makes room for so many connections: raises the soft limit of this process to its hard one if that is needed.
/// Brokers that are started afterwards inherit it.
///
/// # Errors
/// When the hard limit is too low.
pub(crate) fn make_room(connections: u32) -> Result<(), Error> {
    let needed = u64::from(connections) + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit is written as none.
    if current.is_none_or(|limit| limit >= needed) {
        return Ok(());
    }
    if let Some(limit) = maximum.filter(|&limit| limit < needed) {
        return Err(Error::Usage(format!(
            "{connections} connections need {needed} open files, and the system allows {limit}; raise \"ulimit -Hn\" \
             or ask for fewer"
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|error| Error::io("raise the limit of open files")(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_files_are_refused_before_the_first_one() {
        make_room(1).unwrap();
        let Some(limit) = getrlimit(Resource::Nofile).maximum else { return };
        let Ok(too_many) = u32::try_from(limit) else { return };
        assert!(make_room(too_many).unwrap_err().to_string().contains(&format!("allows {limit}")));
    }
}
