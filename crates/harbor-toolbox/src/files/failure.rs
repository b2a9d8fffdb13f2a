//! What an I/O error means to the caller (contract, toolbox §2.3 and §11).

use std::io::{self, ErrorKind};

use rustix::io::Errno;

use super::paths;
use crate::http::error::Error;

/// 400 `INVALID_FILE_PATH`.
pub(super) fn invalid_path(message: impl Into<String>) -> Error {
    Error::bad_request(message).with_code("INVALID_FILE_PATH")
}

/// The answer to `error`, which happened with the file that the caller calls `path`.
pub(super) fn with_path(path: &[u8], error: &io::Error) -> Error {
    answer(error, format!("{}: {}", paths::text(path), reason(error)))
}

/// The same for a part of a bulk download, whose messages have no class prefix (§22.4).
pub(super) fn of_part(path: &[u8], error: &io::Error) -> Error {
    let path = paths::text(path);
    let message = match error.kind() {
        ErrorKind::NotFound => format!("file not found: {path}"),
        ErrorKind::PermissionDenied => format!("permission denied: {path}"),
        _ => format!("{}: {path}", reason(error)),
    };
    answer(error, message).without_prefix()
}

fn answer(error: &io::Error, message: String) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::not_found(message).with_code("FILE_NOT_FOUND"),
        ErrorKind::PermissionDenied => Error::forbidden(message).with_code("FILE_ACCESS_DENIED"),
        _ if is_about_the_path(error) => invalid_path(message),
        _ => Error::internal(message).with_code("FILE_READ_FAILED"),
    }
}

/// Errors that another path would not have, as opposed to a failing or full disk.
fn is_about_the_path(error: &io::Error) -> bool {
    const PATH: [Errno; 13] = [
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::NAMETOOLONG,
        Errno::LOOP,
        Errno::INVAL,
        Errno::EXIST,
        Errno::NOTEMPTY,
        Errno::NXIO,
        Errno::NODEV,
        Errno::ROFS,
        Errno::TXTBSY,
        Errno::BUSY,
        Errno::XDEV,
    ];
    match error.raw_os_error() {
        Some(number) => PATH.iter().any(|errno| errno.raw_os_error() == number),
        None => matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData),
    }
}

/// The cause in words, without the number that the standard library appends.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The error for something that is no regular file and therefore is neither read nor written.
pub(super) fn not_a_file() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}

/// The error for a directory where a file is needed.
pub(super) fn is_a_directory() -> io::Error {
    Errno::ISDIR.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: impl Into<io::Error>, status: u16, code: &str, message: &str) {
        let body = with_path(b"/p", &error.into()).body("GET", "/files");
        assert_eq!(
            (&body["statusCode"], &body["code"], &body["message"]),
            (&status.into(), &code.into(), &message.into())
        );
    }

    #[test]
    fn causes_become_statuses_and_codes() {
        check(Errno::NOENT, 404, "FILE_NOT_FOUND", "not found: /p: no such file or directory");
        check(Errno::ACCESS, 403, "FILE_ACCESS_DENIED", "forbidden: /p: permission denied");
        check(Errno::PERM, 403, "FILE_ACCESS_DENIED", "forbidden: /p: operation not permitted");
        check(Errno::NOTDIR, 400, "INVALID_FILE_PATH", "bad request: /p: not a directory");
        check(not_a_file(), 400, "INVALID_FILE_PATH", "bad request: /p: not a regular file");
        check(Errno::NOSPC, 500, "FILE_READ_FAILED", "internal server error: /p: no space left on device");
    }

    #[test]
    fn parts_say_the_path_last() {
        let body = of_part(b"dir/b.txt", &Errno::NOENT.into()).body("POST", "dir/b.txt");
        assert_eq!(body["message"], "file not found: dir/b.txt");
    }
}
