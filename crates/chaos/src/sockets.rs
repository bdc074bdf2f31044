//! The sockets of clients, as the kernel has them.
//!
//! A proxy or a server learns late that a connection has been closed; the kernel knows at once.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;

/// Connections that are being made or are open, by the port that they lead to, of those to 127.0.0.2, where the
/// proxies are. The other ends of the same connections are not among them.
pub(crate) fn by_port() -> anyhow::Result<BTreeMap<u16, usize>> {
    let table = fs::read_to_string("/proc/self/net/tcp").context("no /proc/self/net/tcp")?;
    let mut counts = BTreeMap::new();
    for port in table.lines().filter_map(port) {
        *counts.entry(port).or_default() += 1;
    }
    Ok(counts)
}

/// `sl local_address rem_address st …`, addresses as hexadecimal bytes of the network, in the order of the machine.
fn port(line: &str) -> Option<u16> {
    /// `ESTABLISHED` and `SYN_SENT`.
    const OPEN: [&str; 2] = ["01", "02"];
    const PROXIES: u32 = u32::from_ne_bytes([127, 0, 0, 2]);
    let mut words = line.split_whitespace().skip(2);
    let (address, port) = words.next()?.split_once(':')?;
    let is_open = OPEN.contains(&words.next()?);
    let is_proxy = u32::from_str_radix(address, 16) == Ok(PROXIES);
    (is_open && is_proxy).then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_ones_to_proxies_count() {
        let line =
            |address, state| format!("  1: 0100007F:C350 {address}:1F90 {state} 00000000:00000000");
        let proxy = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 2]));
        assert_eq!(port(&line(&*proxy, "01")), Some(8080));
        assert_eq!(port(&line(&*proxy, "02")), Some(8080));
        assert_eq!(port(&line(&*proxy, "06")), None);
        assert_eq!(port(&line("0100007F", "01")), None);
        assert_eq!(port("  sl  local_address rem_address   st"), None);
    }
}
