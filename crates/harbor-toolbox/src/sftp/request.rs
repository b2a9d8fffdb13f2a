//! Requests of SFTP version 3 (draft-ietf-secsh-filexfer-02), as bytes.

use bytes::Buf as _;

/// Most bytes of a packet after its length, as OpenSSH has it.
pub(super) const PACKET: usize = 256 << 10;

/// Flags of `SSH_FXP_OPEN`.
pub(super) mod open {
    pub(crate) const READ: u32 = 0x01;
    pub(crate) const WRITE: u32 = 0x02;
    pub(crate) const APPEND: u32 = 0x04;
    pub(crate) const CREATE: u32 = 0x08;
    pub(crate) const TRUNCATE: u32 = 0x10;
    pub(crate) const EXCLUSIVE: u32 = 0x20;
}

/// What is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What a client wants a file to be; what it does not name stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) size: Option<u64>,
    /// User and group.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) permissions: Option<u32>,
    /// Access and modification, in seconds since the epoch.
    pub(super) times: Option<(u32, u32)>,
}

/// One request; paths and handles as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: u32,
        wanted: Wanted,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    LinkStatus {
        path: &'a [u8],
    },
    HandleStatus {
        handle: &'a [u8],
    },
    SetStatus {
        path: &'a [u8],
        wanted: Wanted,
    },
    SetHandleStatus {
        handle: &'a [u8],
        wanted: Wanted,
    },
    OpenDirectory {
        path: &'a [u8],
    },
    ReadDirectory {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeDirectory {
        path: &'a [u8],
        wanted: Wanted,
    },
    RemoveDirectory {
        path: &'a [u8],
    },
    RealPath {
        path: &'a [u8],
    },
    Status {
        path: &'a [u8],
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    ReadLink {
        path: &'a [u8],
    },
    /// In the order in which OpenSSH sends them, which is not the draft's.
    SymbolicLink {
        target: &'a [u8],
        link: &'a [u8],
    },
    PosixRename {
        from: &'a [u8],
        to: &'a [u8],
    },
    HardLink {
        from: &'a [u8],
        to: &'a [u8],
    },
    SetLinkStatus {
        path: &'a [u8],
        wanted: Wanted,
    },
    FileSystem {
        path: &'a [u8],
    },
    FileSystemOfHandle {
        handle: &'a [u8],
    },
    Synchronize {
        handle: &'a [u8],
    },
    ExpandPath {
        path: &'a [u8],
    },
    HomeDirectory,
    Limits,
    /// What this server does not know.
    Unknown,
}

/// One packet of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// The first one.
    Hello,
    Request {
        id: u32,
        /// A request that cannot be read is answered; the stream can still be.
        request: Result<Request<'a>, Malformed>,
    },
}

/// How long the first packet of `stream` is with its length; none when that is not known yet.
pub(super) fn length(stream: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((length, _)) = stream.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Malformed)?;
    if (1..=PACKET).contains(&length) { Ok(Some(4 + length)) } else { Err(Malformed) }
}

/// Reads a packet, given without its length.
pub(super) fn parse(packet: &[u8]) -> Result<Packet<'_>, Malformed> {
    const HELLO: u8 = 1;
    let mut fields = Fields(packet);
    let kind = fields.u8()?;
    if kind == HELLO {
        fields.u32()?; // its version: ours is answered, and clients take the lower one
        return Ok(Packet::Hello);
    }
    let id = fields.u32()?;
    Ok(Packet::Request { id, request: request(kind, fields) })
}

fn request(kind: u8, mut fields: Fields<'_>) -> Result<Request<'_>, Malformed> {
    let fields = &mut fields;
    // Fields are read in the order written here, which is that of the wire.
    Ok(match kind {
        3 => Request::Open { path: fields.text()?, flags: fields.u32()?, wanted: fields.wanted()? },
        4 => Request::Close { handle: fields.text()? },
        5 => Request::Read { handle: fields.text()?, offset: fields.u64()?, length: fields.u32()? },
        6 => Request::Write { handle: fields.text()?, offset: fields.u64()?, data: fields.text()? },
        7 => Request::LinkStatus { path: fields.text()? },
        8 => Request::HandleStatus { handle: fields.text()? },
        9 => Request::SetStatus { path: fields.text()?, wanted: fields.wanted()? },
        10 => Request::SetHandleStatus { handle: fields.text()?, wanted: fields.wanted()? },
        11 => Request::OpenDirectory { path: fields.text()? },
        12 => Request::ReadDirectory { handle: fields.text()? },
        13 => Request::Remove { path: fields.text()? },
        14 => Request::MakeDirectory { path: fields.text()?, wanted: fields.wanted()? },
        15 => Request::RemoveDirectory { path: fields.text()? },
        16 => Request::RealPath { path: fields.text()? },
        17 => Request::Status { path: fields.text()? },
        18 => Request::Rename { from: fields.text()?, to: fields.text()? },
        19 => Request::ReadLink { path: fields.text()? },
        20 => Request::SymbolicLink { target: fields.text()?, link: fields.text()? },
        200 => match fields.text()? {
            b"posix-rename@openssh.com" => Request::PosixRename { from: fields.text()?, to: fields.text()? },
            b"hardlink@openssh.com" => Request::HardLink { from: fields.text()?, to: fields.text()? },
            b"lsetstat@openssh.com" => Request::SetLinkStatus { path: fields.text()?, wanted: fields.wanted()? },
            b"statvfs@openssh.com" => Request::FileSystem { path: fields.text()? },
            b"fstatvfs@openssh.com" => Request::FileSystemOfHandle { handle: fields.text()? },
            b"fsync@openssh.com" => Request::Synchronize { handle: fields.text()? },
            b"expand-path@openssh.com" => Request::ExpandPath { path: fields.text()? },
            b"home-directory" => Request::HomeDirectory,
            b"limits@openssh.com" => Request::Limits,
            _ => Request::Unknown,
        },
        _ => Request::Unknown,
    })
}

/// What is left of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| Malformed)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64().map_err(|_| Malformed)
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(text)
    }

    /// Attributes; their extended ones mean nothing here.
    fn wanted(&mut self) -> Result<Wanted, Malformed> {
        use super::attributes::{OWNER, PERMISSIONS, SIZE, TIMES};
        let flags = self.u32()?;
        let mut wanted = Wanted::default();
        if flags & SIZE != 0 {
            wanted.size = Some(self.u64()?);
        }
        if flags & OWNER != 0 {
            wanted.owner = Some((self.u32()?, self.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            wanted.permissions = Some(self.u32()?);
        }
        if flags & TIMES != 0 {
            wanted.times = Some((self.u32()?, self.u32()?));
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id_and_request(packet: &[u8]) -> (u32, Result<Request<'_>, Malformed>) {
        match parse(packet) {
            Ok(Packet::Request { id, request }) => (id, request),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packets_are_read() {
        assert_eq!(parse(b"\x01\0\0\0\x03"), Ok(Packet::Hello));
        let open = b"\x03\0\0\0\x07\0\0\0\x02/\xff\0\0\0\x1a\0\0\0\x05\0\0\0\0\0\0\0\x09\0\0\x01\xa4";
        let wanted = Wanted { size: Some(9), permissions: Some(0o644), ..Wanted::default() };
        let flags = open::WRITE | open::CREATE | open::TRUNCATE;
        assert_eq!(id_and_request(open), (7, Ok(Request::Open { path: b"/\xff", flags, wanted })));
        for cut in 5..open.len() {
            assert_eq!(id_and_request(&open[..cut]), (7, Err(Malformed)), "{cut}");
        }
        let rename = b"\xc8\0\0\0\x08\0\0\0\x18posix-rename@openssh.com\0\0\0\x01a\0\0\0\x01b";
        assert_eq!(id_and_request(rename), (8, Ok(Request::PosixRename { from: b"a", to: b"b" })));
        assert_eq!(id_and_request(b"\xc8\0\0\0\x09\0\0\0\x01x\0\0"), (9, Ok(Request::Unknown)));
        assert_eq!(id_and_request(b"\x7f\0\0\0\x0a"), (10, Ok(Request::Unknown)));
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(length(b"\0\0\0"), Ok(None));
        assert_eq!(length(b"\0\0\0\x05"), Ok(Some(9)));
        assert_eq!(length(b"\0\x04\0\0"), Ok(Some(4 + PACKET)));
        for wrong in [b"\0\0\0\0", b"\0\x04\0\x01", b"\xff\xff\xff\xff"] {
            assert_eq!(length(wrong), Err(Malformed));
        }
    }

    /// A byte: often a small one, as lengths and flags have them.
    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![7 => 0_u8..6, 1 => any::<u8>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Any bytes at all are a packet or none, and end neither the process nor the memory.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(byte(), 0..64)) {
            let _ = parse(&bytes);
            let _ = length(&bytes);
        }
    }

    #[test]
    fn too_few_bytes_are_refused() {
        assert_eq!(parse(b""), Err(Malformed));
        assert_eq!(parse(b"\x03\0\0"), Err(Malformed));
    }
}
