//! SFTP as bytes: what OpenSSH's clients have no command for.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use harbor_protocol::remote::{SFTP_PATH, SFTP_UPGRADE};

use crate::client::{TOKEN, Toolbox, eventually};

const OK: u32 = 0;
const NO_SUCH_FILE: u32 = 2;
const FAILURE: u32 = 4;
const BAD_MESSAGE: u32 = 5;
const UNSUPPORTED: u32 = 8;

/// One part of a packet.
enum Part<'a> {
    Number(u32),
    Long(u64),
    Text(&'a [u8]),
}
use Part::{Long, Number, Text};

struct Client {
    stream: TcpStream,
    sent: u32,
}

impl Client {
    fn open(toolbox: &Toolbox) -> Self {
        let mut client = Self { stream: toolbox.stream(SFTP_PATH, SFTP_UPGRADE), sent: 0 };
        client.stream.write_all(b"\0\0\0\x05\x01\0\0\0\x03").unwrap();
        let hello = client.receive().unwrap();
        assert_eq!(hello[..5], *b"\x02\0\0\0\x03");
        for extension in
            ["posix-rename@openssh.com", "hardlink@openssh.com", "fsync@openssh.com", "statvfs@openssh.com"]
        {
            assert!(hello.windows(extension.len()).any(|window| window == extension.as_bytes()), "{extension}");
        }
        client
    }

    fn send(&mut self, kind: u8, parts: &[Part<'_>]) -> u32 {
        self.sent += 1;
        let mut packet = vec![kind];
        packet.extend(self.sent.to_be_bytes());
        for part in parts {
            match part {
                Number(number) => packet.extend(number.to_be_bytes()),
                Long(number) => packet.extend(number.to_be_bytes()),
                Text(text) => {
                    packet.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                    packet.extend(*text);
                }
            }
        }
        self.stream.write_all(&u32::try_from(packet.len()).unwrap().to_be_bytes()).unwrap();
        self.stream.write_all(&packet).unwrap();
        self.sent
    }

    /// The next packet without its length; none at the end of the stream.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut packet = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut packet).unwrap();
        Some(packet)
    }

    /// Kind and rest of the answer to a request.
    #[track_caller]
    fn ask(&mut self, kind: u8, parts: &[Part<'_>]) -> (u8, Vec<u8>) {
        let id = self.send(kind, parts);
        let answer = self.receive().unwrap();
        assert_eq!(answer[1..5], id.to_be_bytes());
        (answer[0], answer[5..].to_vec())
    }

    #[track_caller]
    fn status(&mut self, kind: u8, parts: &[Part<'_>]) -> u32 {
        let (kind, rest) = self.ask(kind, parts);
        assert_eq!(kind, 101);
        u32::from_be_bytes(rest[..4].try_into().unwrap())
    }

    #[track_caller]
    fn handle(&mut self, kind: u8, parts: &[Part<'_>]) -> Vec<u8> {
        let (kind, rest) = self.ask(kind, parts);
        assert_eq!(kind, 102, "{}", String::from_utf8_lossy(&rest));
        rest[4..].to_vec()
    }

    #[track_caller]
    fn open_file(&mut self, path: &[u8], flags: u32) -> Vec<u8> {
        self.handle(3, &[Text(path), Number(flags), Number(0)])
    }
}

#[test]
fn extensions_do_what_they_say() {
    let toolbox = Toolbox::start();
    let mut client = Client::open(&toolbox);
    let file = client.open_file(b"a", 0x1a);
    assert_eq!(client.status(6, &[Text(&file), Long(3), Text(b"text")]), OK);
    assert_eq!(client.status(200, &[Text(b"fsync@openssh.com"), Text(&file)]), OK);
    assert_eq!(std::fs::read(toolbox.at("a")).unwrap(), b"\0\0\0text");
    assert_eq!(client.status(200, &[Text(b"hardlink@openssh.com"), Text(b"a"), Text(b"b")]), OK);
    assert_eq!(client.status(18, &[Text(b"a"), Text(b"b")]), FAILURE, "it is there already");
    assert_eq!(client.status(200, &[Text(b"posix-rename@openssh.com"), Text(b"a"), Text(b"c")]), OK);
    assert!(toolbox.at("c").exists());
    for (name, of) in [("statvfs@openssh.com", b"b" as &[u8]), ("fstatvfs@openssh.com", &file)] {
        let (kind, rest) = client.ask(200, &[Text(name.as_bytes()), Text(of)]);
        assert_eq!((kind, rest.len()), (201, 88), "{name}");
        assert_eq!(rest[80..], 255_u64.to_be_bytes(), "the longest name");
    }
    let (kind, rest) = client.ask(200, &[Text(b"limits@openssh.com")]);
    let limits: Vec<u64> = rest.chunks(8).map(|number| u64::from_be_bytes(number.try_into().unwrap())).collect();
    assert_eq!((kind, limits), (201, vec![262_144, 261_120, 261_120, 256]));
    let home = std::fs::canonicalize(toolbox.at("")).unwrap();
    let (kind, rest) = client.ask(200, &[Text(b"expand-path@openssh.com"), Text(b"~/b")]);
    assert!(kind == 104 && rest[8..].starts_with(home.join("b").to_str().unwrap().as_bytes()));
    assert_eq!(client.status(200, &[Text(b"no-such-extension"), Number(1)]), UNSUPPORTED);
    assert_eq!(client.status(99, &[]), UNSUPPORTED);
    assert_eq!(client.status(4, &[Text(&file)]), OK);
    assert_eq!(client.status(4, &[Text(&file)]), NO_SUCH_FILE, "a handle is closed once");
}

#[test]
fn flags_are_the_kernels() {
    let toolbox = Toolbox::start();
    std::fs::write(toolbox.at("file"), "old").unwrap();
    let mut client = Client::open(&toolbox);
    assert_eq!(client.status(3, &[Text(b"file"), Number(0x2a), Number(0)]), FAILURE, "exclusive");
    let appending = client.open_file(b"file", 0x06);
    assert_eq!(client.status(6, &[Text(&appending), Long(0), Text(b"+new")]), OK);
    assert_eq!(std::fs::read(toolbox.at("file")).unwrap(), b"old+new");
    let reading = client.open_file(b"file", 0x01);
    assert_eq!(client.status(6, &[Text(&reading), Long(0), Text(b"x")]), NO_SUCH_FILE, "not open for that");
    let (kind, rest) = client.ask(5, &[Text(&reading), Long(4), Number(u32::MAX)]);
    assert_eq!((kind, &rest[..]), (103, b"\0\0\0\x03new" as &[u8]));
    assert_eq!(client.status(5, &[Text(&reading), Long(u64::MAX), Number(1)]), BAD_MESSAGE);
    drop(client.open_file(b"file", 0x12));
    assert_eq!(std::fs::read(toolbox.at("file")).unwrap(), b"", "truncated");
    assert_eq!(client.status(3, &[Text(b"a\0b"), Number(1), Number(0)]), BAD_MESSAGE);
}

#[test]
fn handles_and_sessions_are_bounded_and_given_back() {
    let toolbox = Toolbox::start();
    std::fs::write(toolbox.at("file"), "").unwrap();
    let mut client = Client::open(&toolbox);
    let handles: Vec<_> = (0..256).map(|_| client.open_file(b"file", 1)).collect();
    assert_eq!(client.status(3, &[Text(b"file"), Number(1), Number(0)]), FAILURE);
    assert_eq!(client.status(11, &[Text(b".")]), FAILURE);
    assert_eq!(client.status(4, &[Text(&handles[7])]), OK);
    client.open_file(b"file", 1);
    let others: Vec<_> = (0..63).map(|_| Client::open(&toolbox)).collect();
    assert_eq!(toolbox.ask_for_stream(SFTP_PATH, SFTP_UPGRADE, TOKEN).0, 429);
    drop(others);
    eventually("a place is free", || toolbox.ask_for_stream(SFTP_PATH, SFTP_UPGRADE, TOKEN).0 == 101);
}

#[test]
fn what_cannot_be_read_ends_the_session_or_the_request() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.ask_for_stream(SFTP_PATH, SFTP_UPGRADE, "wrong").0, 401);
    assert_eq!(toolbox.ask_for_stream(SFTP_PATH, "websocket", TOKEN).0, 400);
    let mut client = Client::open(&toolbox);
    assert_eq!(client.status(3, &[Number(1000)]), BAD_MESSAGE);
    assert_eq!(client.status(14, &[Text(b"new"), Number(0)]), OK, "the next one is fine");
    for packet in [b"\0\0\0\0" as &[u8], b"\0\x04\0\x01", b"\xff\xff\xff\xff", b"\0\0\0\x02\x03\0"] {
        let mut client = Client::open(&toolbox);
        client.stream.write_all(packet).unwrap();
        assert_eq!(client.receive(), None, "{packet:?}");
    }
}

#[test]
fn answers_wait_for_who_reads_them_and_memory_stays() {
    let toolbox = Toolbox::start();
    std::fs::write(toolbox.at("file"), vec![b'x'; 1 << 18]).unwrap();
    let mut client = Client::open(&toolbox);
    let file = client.open_file(b"file", 1);
    let requests = 1000_u32;
    let mut reader = Client { stream: client.stream.try_clone().unwrap(), sent: 0 };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..requests {
                client.send(5, &[Text(&file), Long(0), Number(200_000)]);
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        let answers = std::iter::repeat_with(|| reader.receive().unwrap()).take(usize::try_from(requests).unwrap());
        assert!(answers.enumerate().all(|(at, answer)| {
            answer.len() == 200_009 && answer[1..5] == u32::try_from(at + 2).unwrap().to_be_bytes()
        }));
    });
    assert!(toolbox.peak_memory() < 32 << 20, "{}", toolbox.peak_memory());
}
