//! Answers of SFTP version 3.

use rustix::fs::Stat;
use rustix::io::Errno;

use super::attributes;

/// The extensions told to clients, with their versions.
const EXTENSIONS: [(&str, &str); 9] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("home-directory", "1"),
];

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok = 0,
    EndOfFile = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    Unsupported = 8,
}

impl Status {
    /// What the kernel's error is to clients, as OpenSSH tells it.
    fn of(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR | Errno::BADF | Errno::LOOP => Self::NoSuchFile,
            Errno::PERM | Errno::ACCESS => Self::PermissionDenied,
            Errno::NAMETOOLONG | Errno::INVAL => Self::BadMessage,
            Errno::NOSYS | Errno::OPNOTSUPP => Self::Unsupported,
            _ => Self::Failure,
        }
    }
}

/// One name of a list.
pub(super) struct Name<'a> {
    pub(super) text: &'a [u8],
    /// A line for people.
    pub(super) line: &'a [u8],
    /// None: nothing is said of it.
    pub(super) stat: Option<&'a Stat>,
}

/// Answers on their way out.
#[derive(Default)]
pub(super) struct Replies {
    bytes: Vec<u8>,
}

impl Replies {
    /// Their bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Answers the first packet: the version, and what there is beyond it.
    pub(super) fn hello(&mut self) {
        self.packet(2, |bytes| {
            number(bytes, 3);
            for (name, version) in EXTENSIONS {
                text(bytes, name.as_bytes());
                text(bytes, version.as_bytes());
            }
        });
    }

    pub(super) fn status(&mut self, id: u32, status: Status, message: &str) {
        self.packet(101, |bytes| {
            number(bytes, id);
            number(bytes, status as u32);
            text(bytes, message.as_bytes());
            text(bytes, b"en");
        });
    }

    /// Tells of a failure.
    pub(super) fn failure(&mut self, id: u32, error: Errno) {
        self.status(id, Status::of(error), &std::io::Error::from(error).to_string());
    }

    pub(super) fn handle(&mut self, id: u32, handle: [u8; 4]) {
        self.packet(102, |bytes| {
            number(bytes, id);
            text(bytes, &handle);
        });
    }

    /// Content that `read` puts into a buffer of `length`, or that the file has ended.
    pub(super) fn data(
        &mut self,
        id: u32,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        const HEAD: usize = 13;
        let start = self.bytes.len();
        self.bytes.resize(start + HEAD + length, 0);
        let read = read(&mut self.bytes[start + HEAD..]);
        let found = *read.as_ref().unwrap_or(&0);
        if found == 0 {
            self.bytes.truncate(start);
            return read.map(|_| self.status(id, Status::EndOfFile, "End of file"));
        }
        self.bytes.truncate(start + HEAD + found);
        let length = u32::try_from(found).unwrap_or_default();
        let head = [&(length + 9).to_be_bytes()[..], &[103], &id.to_be_bytes(), &length.to_be_bytes()].concat();
        self.bytes[start..start + HEAD].copy_from_slice(&head);
        Ok(())
    }

    pub(super) fn names(&mut self, id: u32, names: &[Name<'_>]) {
        self.packet(104, |bytes| {
            number(bytes, id);
            number(bytes, u32::try_from(names.len()).unwrap_or_default());
            for Name { text: name, line, stat } in names {
                text(bytes, name);
                text(bytes, line);
                match stat {
                    Some(stat) => attributes::write(bytes, stat),
                    None => number(bytes, 0),
                }
            }
        });
    }

    /// One name of which nothing is said.
    pub(super) fn name(&mut self, id: u32, name: &[u8]) {
        self.names(id, &[Name { text: name, line: name, stat: None }]);
    }

    pub(super) fn attributes(&mut self, id: u32, stat: &Stat) {
        self.packet(105, |bytes| {
            number(bytes, id);
            attributes::write(bytes, stat);
        });
    }

    /// The answer of an extension: numbers.
    pub(super) fn numbers(&mut self, id: u32, numbers: &[u64]) {
        self.packet(201, |bytes| {
            number(bytes, id);
            bytes.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        });
    }

    /// A packet of this kind, its length first.
    fn packet(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend([0, 0, 0, 0, kind]);
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - 4).unwrap_or_default();
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn number(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend(number.to_be_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    number(bytes, u32::try_from(text.len()).unwrap_or_default());
    bytes.extend(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_as_long_as_what_was_read() {
        let mut replies = Replies::default();
        let read = |buffer: &mut [u8]| {
            buffer[..2].copy_from_slice(b"ab");
            Ok(2)
        };
        replies.data(7, 5, read).unwrap();
        replies.handle(8, [1, 2, 3, 4]);
        replies.data(9, 5, |_| Ok(0)).unwrap();
        assert_eq!(replies.data(10, 5, |_| Err(Errno::IO)), Err(Errno::IO));
        let expected: [&[u8]; 3] = [
            b"\0\0\0\x0b\x67\0\0\0\x07\0\0\0\x02ab",
            b"\0\0\0\x0d\x66\0\0\0\x08\0\0\0\x04\x01\x02\x03\x04",
            b"\0\0\0\x1e\x65\0\0\0\x09\0\0\0\x01\0\0\0\x0bEnd of file\0\0\0\x02en",
        ];
        assert_eq!(replies.as_bytes(), expected.concat());
    }
}
