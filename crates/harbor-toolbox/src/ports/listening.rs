//! Listening TCP ports, from the kernel's tables of both address families.

use std::collections::BTreeSet;

/// The kernel's word for a listening socket.
const LISTEN: &str = "0A";

/// Every port that something listens on at this moment, in ascending order.
pub(super) fn ports() -> Vec<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| listening(table)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The engine's name server in containers, 127.0.0.11, as the table writes it on little-endian machines: nothing of the
/// sandbox's own.
const NAME_SERVER: &str = "0B00007F";

/// The listening ports of one table.
fn listening(table: &str) -> impl Iterator<Item = u16> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        let (address, port) = local.rsplit_once(':').filter(|_| state == LISTEN)?;
        if address == NAME_SERVER {
            return None;
        }
        u16::from_str_radix(port, 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_count() {
        let four = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            \x20  0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1\n\
            \x20  2: 0B00007F:ACB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n\
            \x20  1: 0100007F:0BB9 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000  1000        0 1 1\n";
        let six = "  sl  local_address                         remote_address                        st\n\
            \x20  0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000\n";
        assert_eq!(listening(four).collect::<Vec<_>>(), [3000]);
        assert_eq!(listening(six).collect::<Vec<_>>(), [8080]);
        assert_eq!(listening("").count() + listening("head\nnonsense\n 1: x y 0A\n").count(), 0);
    }

    #[test]
    fn a_real_listener_is_seen() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(address) else { continue };
            assert!(ports().contains(&listener.local_addr().unwrap().port()), "{address}");
        }
    }
}
