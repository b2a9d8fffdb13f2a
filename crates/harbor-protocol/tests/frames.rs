//! Frames of the streams between harbor and toolbox, as bytes.
//!
//! A target of its own, beside the crate's unit tests: it needs nothing but this crate and serde, so `scripts/build` names it to
//! have cargo choose the features of dependencies as it does for all tests.

use std::hash::{BuildHasher as _, RandomState};

use harbor_protocol::remote::{Event, MAX_PAYLOAD, Malformed, Request, Size};

const REQUESTS: [Request<'static>; 8] = [
    Request::Command(b"cat \xff"),
    Request::Start(br#"{"protocol":1}"#),
    Request::Input(b"\0\n"),
    Request::Input(b""),
    Request::InputEnd,
    Request::Resize(Size { columns: 80, rows: 24 }),
    Request::Signal("TERM"),
    Request::Signal(""),
];

const EVENTS: [Event<'static>; 9] = [
    Event::Started,
    Event::Refused("no shell"),
    Event::Output(b"out"),
    Event::ErrorOutput(b"\xff"),
    Event::Credit(70_000),
    Event::Exited(255),
    Event::Killed { signal: "KILL", core_dumped: false },
    Event::Killed { signal: "SEGV", core_dumped: true },
    Event::Output(b""),
];

/// The written form: running sandboxes outlive upgrades, so these bytes never change.
#[test]
fn the_written_form_stays() {
    let mut stream = Vec::new();
    for request in REQUESTS {
        request.append_to(&mut stream).unwrap();
    }
    let expected: &[&[u8]] = &[
        b"\x01\0\0\0\x05cat \xff",
        b"\x02\0\0\0\x0e{\"protocol\":1}",
        b"\x03\0\0\0\x02\0\n",
        b"\x03\0\0\0\0",
        b"\x04\0\0\0\0",
        b"\x05\0\0\0\x04\0\x50\0\x18",
        b"\x06\0\0\0\x04TERM",
        b"\x06\0\0\0\0",
    ];
    assert_eq!(stream, expected.concat());
    stream.clear();
    for event in EVENTS {
        event.append_to(&mut stream).unwrap();
    }
    let expected: &[&[u8]] = &[
        b"\x81\0\0\0\0",
        b"\x82\0\0\0\x08no shell",
        b"\x83\0\0\0\x03out",
        b"\x84\0\0\0\x01\xff",
        b"\x85\0\0\0\x04\0\x01\x11\x70",
        b"\x86\0\0\0\x01\xff",
        b"\x87\0\0\0\x05\0KILL",
        b"\x87\0\0\0\x05\x01SEGV",
        b"\x83\0\0\0\0",
    ];
    assert_eq!(stream, expected.concat());
}

#[test]
fn frames_come_out_as_they_went_in_however_they_are_cut() {
    for request in REQUESTS {
        let mut stream = Vec::new();
        request.append_to(&mut stream).unwrap();
        for cut in 0..stream.len() {
            assert_eq!(Request::first(&stream[..cut]), Ok(None), "{request:?}");
        }
        let length = stream.len();
        stream.push(0xff); // what follows is no business of this frame
        assert_eq!(Request::first(&stream), Ok(Some((request, length))));
    }
    for event in EVENTS {
        let mut stream = Vec::new();
        event.append_to(&mut stream).unwrap();
        for cut in 0..stream.len() {
            assert_eq!(Event::first(&stream[..cut]), Ok(None), "{event:?}");
        }
        assert_eq!(Event::first(&stream), Ok(Some((event, stream.len()))));
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    let cases: [(&[u8], Malformed); 7] = [
        (b"\0\0\0\0\0", Malformed::Kind(0)),
        (b"\x81\0\0\0\0", Malformed::Kind(0x81)),
        (b"\x03\0\x01\0\x01", Malformed::Length(MAX_PAYLOAD + 1)),
        (b"\x03\xff\xff\xff\xff", Malformed::Length(0xffff_ffff)),
        (b"\x04\0\0\0\x01x", Malformed::Payload(4)),
        (b"\x05\0\0\0\x03\0\0\0", Malformed::Payload(5)),
        (b"\x06\0\0\0\x01\xff", Malformed::Payload(6)),
    ];
    for (stream, malformed) in cases {
        assert_eq!(Request::first(stream), Err(malformed));
    }
    for stream in
        [b"\x86\0\0\0\0" as &[u8], b"\x87\0\0\0\0", b"\x87\0\0\0\x01\x02", b"\x81\0\0\0\x01x", b"\x03\0\0\0\0"]
    {
        Event::first(stream).unwrap_err();
    }
    let long = vec![0; MAX_PAYLOAD + 1];
    let mut stream = Vec::new();
    assert_eq!(Request::Input(&long).append_to(&mut stream), Err(Malformed::Length(MAX_PAYLOAD + 1)));
    assert!(stream.is_empty());
    Request::Input(&long[1..]).append_to(&mut stream).unwrap();
    assert!(matches!(Request::first(&stream), Ok(Some((Request::Input(input), _))) if input.len() == MAX_PAYLOAD));
}

/// Another one in every run, told where a test fails; `HARBOR_TEST_SEED` repeats a run.
fn seed() -> u64 {
    let given = std::env::var("HARBOR_TEST_SEED").ok();
    let seed = given.map_or_else(|| RandomState::new().hash_one(()) | 1, |text| text.parse().expect("a number"));
    eprintln!("HARBOR_TEST_SEED={seed}");
    seed
}

/// Any bytes at all: an answer, and what is taken for a frame is written just so.
#[test]
fn any_bytes_are_a_frame_or_none() {
    let mut seed = seed();
    for _ in 0..200_000 {
        let mut bytes = [0; 24];
        for byte in &mut bytes {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            *byte = u8::try_from(seed >> 56).unwrap();
        }
        // Mostly kinds that there are, and lengths that fit.
        bytes[0] &= 0x87;
        (bytes[1], bytes[2], bytes[3]) = (0, 0, 0);
        bytes[4] &= 0x1f;
        let mut written = Vec::new();
        if let Ok(Some((request, length))) = Request::first(&bytes) {
            request.append_to(&mut written).unwrap();
            assert_eq!(written, bytes[..length]);
        }
        written.clear();
        if let Ok(Some((event, length))) = Event::first(&bytes) {
            event.append_to(&mut written).unwrap();
            assert_eq!(written, bytes[..length]);
        }
    }
}
