//! The passing form.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use harbor_protocol::infra::{Failure, MAX_CONNECTIONS, MAX_MESSAGE, Policy, Reply, Request};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};

use crate::process::{Infra, free_port};
use crate::server::{echo, hanging};

#[track_caller]
fn check_failed((reply, passed): (Reply, Option<std::net::TcpStream>), expected: Failure) {
    assert!(passed.is_none(), "a socket came with a failure");
    let Reply::Failed { reason, message } = reply else { panic!("{reply:?}") };
    assert_eq!(reason, expected, "{message}");
}

#[track_caller]
fn check_echo(mut stream: std::net::TcpStream) {
    stream.write_all(b"over there").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "over there");
}

#[test]
fn dials_ipv4_loopback_without_delay() {
    let stream = Infra::start().client().dial(echo("127.0.0.1"));
    assert!(stream.nodelay().unwrap());
    check_echo(stream);
}

#[test]
fn dials_a_server_on_ipv6_loopback_alone() {
    check_echo(Infra::start().client().dial(echo("::1")));
}

#[test]
fn ipv4_comes_first() {
    let ipv6 = TcpListener::bind(("::1", free_port())).unwrap();
    let ipv4 = TcpListener::bind(("127.0.0.1", ipv6.local_addr().unwrap().port())).unwrap();
    let stream = Infra::start().client().dial(ipv4.local_addr().unwrap().port());
    assert_eq!(stream.peer_addr().unwrap(), ipv4.local_addr().unwrap());
}

#[test]
fn nothing_there_is_refused() {
    check_failed(Infra::start().client().ask(&Request::Dial { port: free_port() }), Failure::Refused);
}

#[test]
fn a_port_is_never_connected_to_itself() {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let mut bounds = range.split_whitespace().map(|bound| bound.parse::<u16>().unwrap());
    let (first, last) = (bounds.next().unwrap(), bounds.next().unwrap());
    // The kernel favours the parity of `first` for connect; with that many tries one port meets itself.
    let port = (first..=last).step_by(2).find(|&port| TcpListener::bind(("0.0.0.0", port)).is_ok()).unwrap();
    let infra = Infra::start();
    let client = infra.client();
    for _ in 0..40_000 {
        check_failed(client.ask(&Request::Dial { port }), Failure::Refused);
    }
}

#[test]
fn a_hanging_port_times_out_and_holds_up_nobody() {
    let infra = Infra::start();
    let (port, _kept) = hanging();
    let slow = infra.client();
    slow.send(&serde_json::to_vec(&Request::Dial { port }).unwrap());
    let begun = Instant::now();
    let quick = infra.client();
    let server = echo("127.0.0.1");
    for _ in 0..100 {
        check_echo(quick.dial(server));
    }
    assert!(begun.elapsed() < Duration::from_millis(1800), "others waited: {:?}", begun.elapsed());
    check_failed(slow.receive(), Failure::TimedOut);
    assert!((1900..15_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[test]
fn a_thousand_dials_leave_no_descriptor_behind() {
    // A limit below the number of dials: one descriptor left behind by each would be too many.
    let infra = Infra::start_in(tempfile::tempdir().unwrap(), None, 600);
    let server = echo("127.0.0.1");
    let nobody = free_port();
    for _ in 0..1000 {
        let client = infra.client();
        drop(client.dial(server));
        check_failed(client.ask(&Request::Dial { port: nobody }), Failure::Refused);
        client.send(br#"{"do":"dial","port":0}"#); // and never hears the answer
    }
    let held: Vec<_> = (0..200).map(|_| infra.client().dial(server)).collect();
    held.into_iter().for_each(check_echo);
}

#[test]
fn connections_that_leave_during_a_dial_leave_nothing_behind() {
    let infra = Infra::start_in(tempfile::tempdir().unwrap(), None, 600);
    let (port, _kept) = hanging();
    for _ in 0..1000 {
        infra.client().send(&serde_json::to_vec(&Request::Dial { port }).unwrap());
    }
    check_echo(infra.client().dial(echo("127.0.0.1")));
}

#[test]
fn what_is_not_understood_is_said_and_the_connection_goes_on() {
    let infra = Infra::start();
    let client = infra.client();
    let long = vec![b' '; MAX_MESSAGE + 1];
    let packets: [&[u8]; 6] =
        [b"{", b"\xff\xfe", br#"{"do":"fly"}"#, br#"{"do":"dial","port":65536}"#, br#"{"do":"dial","port":0}"#, &long];
    for packet in packets {
        client.send(packet);
        check_failed(client.receive(), Failure::Unsupported);
    }
    assert!(matches!(client.ask(&Request::Ready).0, Reply::Ready { .. }));
}

#[test]
fn only_the_open_policy_is_in_force() {
    let infra = Infra::start();
    let client = infra.client();
    assert_eq!(client.ask(&Request::Policy(Policy::default())).0, Reply::Applied);
    let closed = [
        Policy { block_all: true, ..Policy::default() },
        Policy { allow_networks: vec!["10.0.0.0/8".to_owned()], ..Policy::default() },
        Policy { allow_domains: vec!["*.example.com".to_owned()], ..Policy::default() },
    ];
    for policy in closed {
        check_failed(client.ask(&Request::Policy(policy)), Failure::Unsupported);
    }
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let infra = Infra::start();
    let mut clients: Vec<_> = (0..MAX_CONNECTIONS).map(|_| infra.client()).collect();
    for client in &clients {
        assert!(matches!(client.ask(&Request::Ready).0, Reply::Ready { .. }));
    }
    let late = infra.client();
    late.send(br#"{"do":"ready"}"#);
    std::thread::sleep(Duration::from_millis(100));
    clients.pop();
    assert!(matches!(late.receive().0, Reply::Ready { .. }));
}

/// Root in any sandbox is the same user to the kernel, which then refuses to pass even one more.
#[test]
fn descriptors_kept_in_flight_by_others_are_told_and_nothing_is_lost() {
    let infra = Infra::start_in(tempfile::tempdir().unwrap(), None, 512);
    let client = infra.client();
    let port = echo("127.0.0.1");
    let kept = in_flight(540);
    for _ in 0..600 {
        check_failed(client.ask(&Request::Dial { port }), Failure::Busy);
    }
    drop(kept);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !matches!(client.ask(&Request::Dial { port }).0, Reply::Dialled) {
        assert!(Instant::now() < deadline, "descriptors were received, and it is still busy");
    }
}

/// Sockets that hold this many descriptors which nobody has received yet.
fn in_flight(count: usize) -> Vec<OwnedFd> {
    let null = std::fs::File::open("/dev/null").unwrap();
    let descriptors = [null.as_fd(); 180];
    let mut kept = Vec::new();
    for _ in 0..count / descriptors.len() {
        let (sender, receiver) =
            socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(180))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&sender, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
        kept.extend([sender, receiver]);
    }
    kept
}
