//! A sandbox that turns on the streaming form's port, while harbor dials through the other.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harbor_protocol::infra::{Reply, Request};

use crate::client::hello;
use crate::process::Infra;
use crate::server::echo;

const TOKEN: &str = "0c1d2e3f405162738495a6b7c8d9eaf0";

/// Dials through the unix socket `count` times; each must come through within infra's own deadline.
#[track_caller]
fn check_dials(infra: &Infra, count: usize) {
    let port = echo("127.0.0.1");
    let client = infra.client();
    for _ in 0..count {
        drop(client.dial(port));
    }
}

#[test]
fn connections_that_say_nothing_or_little_disturb_no_dial() {
    let infra = Infra::start_streaming(TOKEN);
    let mut held = Vec::new();
    for number in 0..800 {
        let mut stream = TcpStream::connect(infra.stream_address()).unwrap();
        if number % 2 == 0 {
            let _evicted_perhaps = stream.write_all(b"{\"token\":\"");
        }
        held.push(stream);
    }
    check_dials(&infra, 200);
    // The newest of the waiting are kept, so a client that speaks at once is heard.
    assert!(matches!(hello(infra.stream_address(), TOKEN, Request::Ready).0, Reply::Ready { .. }));
}

#[test]
fn a_storm_of_connections_and_guesses_disturbs_no_dial() {
    let infra = Infra::start_streaming(TOKEN);
    let stop = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicUsize::new(0));
    let attackers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, made, address) = (Arc::clone(&stop), Arc::clone(&made), infra.stream_address());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(address) else { continue };
                    let _reset_perhaps = stream.write_all(b"{\"token\":\"guess guess guess\",\"do\":\"ready\"}\n");
                    let _best_effort = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                    made.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    check_dials(&infra, 500);
    stop.store(true, Ordering::Relaxed);
    for attacker in attackers {
        attacker.join().unwrap();
    }
    assert!(made.load(Ordering::Relaxed) > 1000, "the storm was a breeze: {made:?}");
    assert!(matches!(hello(infra.stream_address(), TOKEN, Request::Ready).0, Reply::Ready { .. }));
}
