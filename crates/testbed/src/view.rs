//! What one node says about its cluster: the reply of `CLUSTER NODES`.

/// One line of the reply, without what changes all the time or differs from node to node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer {
    pub(crate) id: String,
    pub(crate) port: u16,
    /// What it is to be called by clients, if it has told.
    pub(crate) hostname: String,
    /// The node whose reply it is.
    pub(crate) myself: bool,
    /// In good health as far as the asked node knows, and past the handshake.
    pub(crate) healthy: bool,
    /// The asked node has a connection to it.
    pub(crate) linked: bool,
    /// The id of its master if it is a replica.
    pub(crate) master: Option<String>,
    /// First and last slot of each range; empty for a replica.
    pub(crate) slots: Vec<(u16, u16)>,
}

/// Reads the reply of `CLUSTER NODES`; lines that make no sense are left out.
pub(crate) fn parse(reply: &str) -> Vec<Peer> {
    let mut peers: Vec<Peer> = reply.lines().filter_map(parse_line).collect();
    peers.sort();
    peers
}

/// `ID IP:PORT@BUS[,HOST] FLAGS MASTER PING PONG EPOCH LINK [SLOTS…]`
fn parse_line(line: &str) -> Option<Peer> {
    let mut words = line.split(' ');
    let id = words.next()?.to_owned();
    let (address, rest) = words.next()?.split_once('@')?;
    let port = address.rsplit(':').next()?.parse().ok()?;
    let hostname = rest.split(',').nth(1).unwrap_or_default().to_owned();
    let flags: Vec<&str> = words.next()?.split(',').collect();
    let master = words
        .next()
        .filter(|&master| master != "-")
        .map(str::to_owned);
    let linked = words.nth(3)? == "connected";
    let sick = ["fail", "fail?", "handshake", "noaddr", "nofailover"];
    Some(Peer {
        id,
        port,
        hostname,
        myself: flags.contains(&"myself"),
        healthy: !flags.iter().any(|flag| sick.contains(flag)),
        linked,
        master,
        slots: words.filter_map(parse_range).collect(),
    })
}

/// `0-5460` or `5461`; a slot on the move (`[93-<-…]`) is no range.
fn parse_range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = "\
07c3 127.0.0.1:30004@40004,host-4 slave e7d1 0 1426238317239 4 connected
67ed 127.0.0.1:30002@40002 master,fail? - 0 1426238316232 2 disconnected 5461-10922 16383
e7d1 127.0.0.1:30001@40001 myself,master - 0 0 1 connected 0-5460 [93-<-67ed]
ffff :0@0 handshake - 0 0 0 connected
";

    #[test]
    fn the_reply_is_read() {
        let peers = parse(REPLY);
        assert_eq!(peers.len(), 4);
        assert_eq!(peers[0].port, 30004);
        assert_eq!((&*peers[0].hostname, &*peers[1].hostname), ("host-4", ""));
        assert_eq!(peers[0].master.as_deref(), Some("e7d1"));
        assert!(peers[0].healthy && peers[0].linked && !peers[0].myself);
        assert_eq!(peers[1].slots, [(5461, 10922), (16383, 16383)]);
        assert!(!peers[1].healthy && !peers[1].linked);
        assert_eq!(peers[2].slots, [(0, 5460)]);
        assert!(peers[2].myself);
        assert!(!peers[3].healthy);
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(parse("\nabc\nid 127.0.0.1 master\n"), []);
    }
}
