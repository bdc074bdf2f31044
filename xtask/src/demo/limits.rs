//! How many connections a client without a limit may open without harm to the machine.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::site::Site;
use super::words::count;

/// For the servers' logs, the census, the terminal and the like.
const OTHER_FILES: u64 = 256;
/// For people who want to look into a busy server.
const OTHER_CLIENTS: u64 = 64;

/// A bound that is there for safety only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// Most connections to one node.
    pub(super) per_node: usize,
    /// Why it is so low, if the load could reach it.
    pub(super) why: Option<String>,
}

/// Allows this process, and the servers it starts, as many open files as it may allow itself.
pub(super) fn raise_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where this is refused the bound is lower, and says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The bound for a load that asks for `demand` connections at most at one node.
pub(super) fn bound(site: &Site, demand: usize) -> Bound {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    // A server that does not tell its own limit will refuse what it cannot take.
    let clients = site
        .slots
        .masters
        .iter()
        .filter_map(|node| room(&mut site.connection(node).ok()?))
        .min();
    reckon(demand, site.slots.masters.len(), files, clients)
}

fn reckon(demand: usize, masters: usize, files: u64, clients: Option<u64>) -> Bound {
    let by_files = files.saturating_sub(OTHER_FILES) / masters as u64;
    let by_clients = clients.map_or(u64::MAX, |room| room.saturating_sub(OTHER_CLIENTS));
    let per_node = usize::try_from(by_files.min(by_clients)).unwrap_or(usize::MAX);
    let why = (per_node < demand).then(|| {
        let what = if by_files < by_clients {
            format!("this process may open {} files", count(files))
        } else {
            "the servers' maxclients allows no more".to_owned()
        };
        format!(
            "held to {} connections per node: {what}",
            count(per_node as u64)
        )
    });
    Bound { per_node, why }
}

/// How many more clients a server would take.
fn room(connection: &mut redis::Connection) -> Option<u64> {
    let (_, most): (String, u64) = redis::cmd("CONFIG")
        .arg("GET")
        .arg("maxclients")
        .query(connection)
        .ok()?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("clients").query(connection).ok()?;
    let there: u64 = info.get("connected_clients")?;
    Some(most.saturating_sub(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_room_needs_no_words() {
        let bound = reckon(2560, 3, 20_000, Some(10_000));
        assert_eq!((bound.per_node, bound.why), (6581, None));
        assert_eq!(reckon(2560, 3, u64::MAX, None).why, None);
    }

    #[test]
    fn the_narrowest_limit_is_named() {
        let bound = reckon(2560, 3, 1024, Some(10_000));
        assert_eq!(bound.per_node, 256);
        assert_eq!(
            bound.why.unwrap(),
            "held to 256 connections per node: this process may open 1,024 files"
        );
        let bound = reckon(2560, 3, 20_000, Some(1000));
        assert_eq!(bound.per_node, 936);
        assert!(bound.why.unwrap().contains("maxclients"));
        assert_eq!(reckon(1, 3, 100, Some(10)).per_node, 0);
    }
}
