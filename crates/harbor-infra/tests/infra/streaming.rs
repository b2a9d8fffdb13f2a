//! The streaming form.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use harbor_protocol::infra::{Failure, MAX_MESSAGE, Reply, Request};

use crate::client::{greet, hello};
use crate::process::{Infra, free_port};
use crate::server::{echo, hanging, serve};

const TOKEN: &str = "4f6a1d0be1c54f3f8d5f7d7c0f1b2a39";

#[track_caller]
fn check_failed((reply, mut stream): (Reply, TcpStream), expected: Failure) {
    let Reply::Failed { reason, message } = reply else { panic!("{reply:?}") };
    assert_eq!(reason, expected, "{message}");
    let rest = stream.read(&mut [0; 16]);
    assert!(rest.as_ref().map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |&count| count == 0));
}

/// Dials and expects the stream.
#[track_caller]
fn dial(infra: &Infra, port: u16) -> TcpStream {
    let (reply, stream) = hello(infra.stream_address(), TOKEN, Request::Dial { port });
    assert_eq!(reply, Reply::Dialled);
    stream
}

#[test]
fn the_right_token_opens_a_stream_with_both_half_closes() {
    let infra = Infra::start_streaming(TOKEN);
    // Answers only after the end of the question, and ends after that.
    let port = serve("127.0.0.1", |mut stream| {
        let mut question = Vec::new();
        stream.read_to_end(&mut question).unwrap();
        stream.write_all(format!("{} bytes", question.len()).as_bytes()).unwrap();
    });
    let mut stream = dial(&infra, port);
    stream.write_all(&[7; 1000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "1000 bytes");
}

#[test]
fn a_server_that_ends_first_can_still_be_written_to() {
    let infra = Infra::start_streaming(TOKEN);
    let (report, reported) = std::sync::mpsc::channel();
    let port = serve("::1", move |mut stream| {
        stream.write_all(b"greeting").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        report.send(said).unwrap();
    });
    let mut stream = dial(&infra, port);
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "greeting");
    stream.write_all(b"late words").unwrap();
    drop(stream);
    assert_eq!(reported.recv_timeout(Duration::from_secs(5)).unwrap(), "late words");
}

#[test]
fn much_goes_through_unchanged_both_ways_at_once() {
    const LENGTH: usize = 32 * 1024 * 1024;
    let infra = Infra::start_streaming(TOKEN);
    let stream = dial(&infra, echo("127.0.0.1"));
    let pattern = |index: usize| u8::try_from((index ^ (index >> 8) ^ (index >> 16)) & 0xff).unwrap();
    let sent: Vec<u8> = (0..LENGTH).map(pattern).collect();
    let mut writer = stream.try_clone().unwrap();
    let expected = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::with_capacity(LENGTH);
    (&stream).read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == expected, "{} of {LENGTH} bytes, or changed ones", back.len());
}

#[test]
fn a_reset_server_does_not_look_like_a_whole_answer() {
    let infra = Infra::start_streaming(TOKEN);
    let port = serve("127.0.0.1", |mut stream| {
        stream.write_all(b"half of it").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    let mut answer = Vec::new();
    let end = dial(&infra, port).read_to_end(&mut answer);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_is_gone_frees_a_server_that_does_not_read() {
    let infra = Infra::start_streaming(TOKEN);
    let (report, reported) = std::sync::mpsc::channel();
    let port = serve("127.0.0.1", move |mut stream| {
        std::thread::sleep(Duration::from_millis(500));
        let mut sink = Vec::new();
        report.send(stream.read_to_end(&mut sink).map(|_| sink.len())).unwrap();
    });
    let mut stream = dial(&infra, port);
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 16 * 1024]).is_ok() {}
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    let before = infra.processor_ticks();
    std::thread::sleep(Duration::from_millis(300));
    assert!(infra.processor_ticks() - before <= 2, "it spins on the broken end");
    let end = reported.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_wrong_token_opens_nothing() {
    let infra = Infra::start_streaming(TOKEN);
    let port = echo("127.0.0.1");
    let longer = format!("{TOKEN}0");
    for token in ["", "4", &TOKEN[..31], &longer, "4f6a1d0be1c54f3f8d5f7d7c0f1b2a38", "\0"] {
        for request in [Request::Dial { port }, Request::Ready] {
            check_failed(hello(infra.stream_address(), token, request), Failure::Unauthorized);
        }
    }
}

#[test]
fn without_a_token_file_the_form_is_off() {
    let infra = Infra::start();
    let refused = TcpStream::connect(infra.stream_address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_line_end_of_the_token_file_does_not_count() {
    let infra = Infra::start_streaming(&format!("{TOKEN}\n"));
    assert!(matches!(hello(infra.stream_address(), TOKEN, Request::Ready).0, Reply::Ready { .. }));
}

#[test]
fn failures_of_a_dial_are_told() {
    let infra = Infra::start_streaming(TOKEN);
    let address = infra.stream_address();
    check_failed(hello(address, TOKEN, Request::Dial { port: free_port() }), Failure::Refused);
    let (port, _kept) = hanging();
    check_failed(hello(address, TOKEN, Request::Dial { port }), Failure::TimedOut);
}

#[test]
fn its_own_port_cannot_be_dialled() {
    let infra = Infra::start_streaming(TOKEN);
    let request = Request::Dial { port: infra.stream_address().port() };
    let (reply, passed) = infra.client().ask(&request);
    assert!(matches!(reply, Reply::Failed { reason: Failure::Refused, .. }));
    assert!(passed.is_none());
    check_failed(hello(infra.stream_address(), TOKEN, request), Failure::Refused);
}

#[test]
fn lines_that_are_none_are_refused() {
    let infra = Infra::start_streaming(TOKEN);
    let early = format!("{{\"token\":\"{TOKEN}\",\"do\":\"ready\"}}\nGET /");
    let unknown = format!("{{\"token\":\"{TOKEN}\",\"do\":\"fly\"}}\n");
    let long = vec![b'x'; MAX_MESSAGE];
    for line in [b"GET / HTTP/1.1\r\n".as_slice(), b"\n", b"\xff\n", early.as_bytes(), unknown.as_bytes(), &long] {
        check_failed(greet(infra.stream_address(), line), Failure::Unsupported);
    }
}

#[test]
fn a_silent_connection_is_closed_after_five_seconds() {
    let infra = Infra::start_streaming(TOKEN);
    let mut silent = TcpStream::connect(infra.stream_address()).unwrap();
    silent.write_all(b"{").unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let begun = Instant::now();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
    assert!((4500..15_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[test]
fn streams_are_limited_and_the_limit_is_told() {
    // 600 descriptors, less those reserved for the passing form, at two for each stream.
    let infra = Infra::start_in(tempfile::tempdir().unwrap(), Some(TOKEN), 600);
    let port = echo("127.0.0.1");
    let mut streams: Vec<_> = (0..108).map(|_| dial(&infra, port)).collect();
    check_failed(hello(infra.stream_address(), TOKEN, Request::Dial { port }), Failure::Busy);
    infra.client().dial(port);
    streams.truncate(107);
    // the end of one is noticed a moment later, on a busy machine more than one
    let begun = Instant::now();
    while hello(infra.stream_address(), TOKEN, Request::Dial { port }).0 != Reply::Dialled {
        assert!(begun.elapsed() < Duration::from_secs(10), "the place of an ended stream is not given again");
        std::thread::sleep(Duration::from_millis(20));
    }
}
