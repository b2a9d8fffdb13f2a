//! Signed URLs: one file of one sandbox, without any other credential (contract, toolbox §11.15).
//!
//! Guarantees: the path that was verified is the one that the toolbox reads, because its query is made anew from it;
//! nothing else of the client's query travels. A parameter that stands there twice, in whatever spelling, claims
//! nothing: no two readers can differ about which one counts.
//! Leaves out: whether the signature is right; that is control's.

use std::borrow::Cow;

use harbor_control::{FileOperation, SignedFile};
use harbor_model::secrets::Secret;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};

/// The toolbox's routes that a signature opens, in this spelling only.
static ROUTES: [(Method, &str, FileOperation); 2] = [
    (Method::GET, "/files/download", FileOperation::Download),
    (Method::POST, "/files/upload-v2", FileOperation::Upload),
];

/// A request that shows a signature which cannot be right.
#[derive(Debug)]
pub(crate) struct Malformed;

/// What a request for `route` of the toolbox claims; none if it shows no signature or is for another route.
pub(crate) fn read(method: &Method, route: &str, query: &str) -> Option<Result<SignedFile, Malformed>> {
    let (_, _, operation) = ROUTES.iter().find(|(known, path, _)| known == method && *path == route)?;
    let pairs: Vec<_> = query.split('&').map(pair).collect();
    pairs.iter().any(|(name, _)| **name == *b"signature").then(|| claim(*operation, &pairs).ok_or(Malformed))
}

/// The toolbox's query for the file.
pub(crate) fn query(file: &SignedFile) -> String {
    format!("path={}", percent_encode(file.path(), NON_ALPHANUMERIC))
}

type Pair<'a> = (Cow<'a, [u8]>, &'a str);

fn claim(operation: FileOperation, pairs: &[Pair<'_>]) -> Option<SignedFile> {
    let only = |name: &str| {
        let mut values = pairs.iter().filter(|(known, _)| **known == *name.as_bytes()).map(|(_, value)| *value);
        values.next().filter(|_| values.next().is_none())
    };
    let expires = text(only("expires")?)?;
    let signature = Secret::new(text(only("signature")?)?);
    SignedFile::new(operation, decode(only("path")?).into_owned(), &expires, signature)
}

/// Name, decoded, and value of a parameter.
fn pair(text: &str) -> Pair<'_> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (decode(name), value)
}

fn text(value: &str) -> Option<String> {
    String::from_utf8(decode(value).into_owned()).ok()
}

/// As forms are encoded: `+` is a blank.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['+', '%']) {
        return text.as_bytes().into();
    }
    let blanks: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&blanks).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claimed(query: &str) -> Option<Result<Vec<u8>, ()>> {
        let found = read(&Method::GET, "/files/download", query)?;
        Some(found.map(|file| file.path().to_owned()).map_err(|Malformed| ()))
    }

    #[test]
    fn the_path_is_decoded_once() {
        let check = |query: &str, path: &str| assert_eq!(claimed(query), Some(Ok(path.into())), "{query}");
        check("path=%2Fhome%2Fa+b.txt&expires=0&signature=v1_x", "/home/a b.txt");
        check("path=/home/a%20b%2B.txt&expires=%30&signature=v1%5Fx", "/home/a b+.txt");
        check("signature=v1_x&utm=1&p%61th=a%252Fb&Path=c&path[]=d&expires=0", "a%2Fb");
        check("path=a=b&expires=0&signature=v1_x&path%3D=c", "a=b");
    }

    #[test]
    fn what_is_missing_or_stands_there_twice_claims_nothing() {
        for query in [
            "signature=v1_x",
            "signature",
            "path=a&signature=v1_x",
            "expires=0&signature=v1_x",
            "path=&expires=0&signature=v1_x",
            "path=a&expires=&signature=v1_x",
            "path=a&path=b&expires=0&signature=v1_x",
            "path=a&%70ath=b&expires=0&signature=v1_x",
            "path=a&path&expires=0&signature=v1_x",
            "path=a&expires=0&expires=0&signature=v1_x",
            "path=a&expires=0&signature=v1_x&signature=v1_x",
            "path=a&expires=0&signature=%ff",
        ] {
            assert_eq!(claimed(query), Some(Err(())), "{query}");
        }
        assert_eq!(claimed("path=a&expires=0"), None);
        assert_eq!(claimed("path=a&expires=0&Signature=v1_x"), None);
    }

    #[test]
    fn no_other_route_is_opened() {
        let query = "path=a&expires=0&signature=v1_x";
        let opens = |method: Method, route| read(&method, route, query).is_some();
        assert!(opens(Method::GET, "/files/download") && opens(Method::POST, "/files/upload-v2"));
        for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::CONNECT] {
            assert!(!opens(method.clone(), "/files/download") && !opens(method, "/files/upload-v2"));
        }
        assert!(!opens(Method::POST, "/files/download") && !opens(Method::GET, "/files/upload-v2"));
        for route in ["/files/download/", "//files/download", "/files%2Fdownload", "/Files/Download", "/files", "/"] {
            assert!(!opens(Method::GET, route), "{route}");
        }
    }

    proptest! {
        /// Read by whatever decodes forms, the toolbox's query is the verified path and nothing else.
        #[test]
        fn the_toolbox_reads_what_was_verified(path in proptest::collection::vec(any::<u8>(), 1..40)) {
            let file = SignedFile::new(FileOperation::Download, path.clone(), "0", Secret::new("")).unwrap();
            let query = query(&file);
            prop_assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'=')));
            let (name, value) = pair(&query);
            prop_assert_eq!((&*name, &*decode(value)), (&b"path"[..], &*path));
        }
    }
}
