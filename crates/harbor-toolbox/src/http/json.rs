//! JSON in and out, as lenient and as strict as the contract says (toolbox §2.1).
//!
//! In: keys in any letter case, unknown keys, `null` for absent, bytes after the first value, invalid UTF-8 and lone
//! surrogates are accepted; a wrong type, `1.0` for an integer, a byte order mark and an empty body are errors.

use std::borrow::Cow;
use std::fmt;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use serde_json::Value;

use crate::http::error::Error;

/// Largest JSON request body, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// What JSON answers say they are.
pub(crate) const KIND: &str = "application/json; charset=utf-8";

/// A JSON answer with the content type of the contract.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, KIND)], text).into_response(),
            Err(error) => Error::internal(error.to_string()).into_response(),
        }
    }
}

/// `text` as the inside of a JSON string.
pub(crate) fn escaped(text: &str) -> serde_json::Result<String> {
    let mut quoted = serde_json::to_string(text)?;
    quoted.pop();
    quoted.remove(0);
    Ok(quoted)
}

/// Why a body is not what the endpoint takes.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct InvalidJson(#[from] serde_json::Error);

impl From<InvalidJson> for Error {
    fn from(invalid: InvalidJson) -> Self {
        Self::invalid_body(invalid.to_string())
    }
}

/// Extracts a JSON body leniently; anything else is answered 400 `INVALID_REQUEST_BODY`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        Ok(Self(decode(&read(request).await?)?))
    }
}

/// The whole body of a request, up to [`MAX_BODY`].
pub(crate) async fn read(request: Request) -> Result<Bytes, Error> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| Error::invalid_body(error.to_string()))
}

/// Decodes one JSON value.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidJson> {
    let text = String::from_utf8_lossy(body);
    let text = replace_lone_surrogates(&text);
    let value = Value::deserialize(&mut serde_json::Deserializer::from_str(&text))?;
    Ok(T::deserialize(Lenient(value))?)
}

/// `\ud800` without its other half is no character; the contract reads it as U+FFFD (§24).
fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut replaced: Option<String> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(offset) = bytes[at..].iter().position(|&byte| byte == b'\\') {
        at += offset;
        let step = match escaped_unit(bytes, at) {
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(escaped_unit(bytes, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                let out = replaced.get_or_insert_default();
                out.push_str(&text[copied..at]);
                out.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            Some(_) => 6,
        };
        at = (at + step).min(bytes.len());
    }
    match replaced {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
    }
}

/// The code unit that `\u` and four hexadecimal digits at `at` stand for.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A value whose structs match their keys in any letter case and take `null` members as absent.
struct Lenient(Value);

impl Lenient {
    fn map<'de, V: Visitor<'de>>(
        members: serde_json::Map<String, Value>,
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        visitor.visit_map(MapDeserializer::new(members.into_iter().map(|(key, value)| (key, Self(value)))))
    }
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Object(members) => Self::map(members, visitor),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Self))),
            value => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Object(members) => {
                let members = members.into_iter().filter(|(_, value)| !value.is_null());
                Self::map(members.map(|(key, value)| (field_named(fields, key), value)).collect(), visitor)
            }
            value => Err(serde::de::Error::invalid_type(unexpected(&value), &Expected(&visitor))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, serde_json::Error> for Lenient {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn field_named(fields: &[&'static str], key: String) -> String {
    match fields.iter().find(|field| field.eq_ignore_ascii_case(&key)) {
        Some(field) => (*field).to_owned(),
        None => key,
    }
}

/// What a visitor says it takes, for the message.
struct Expected<'a, V>(&'a V);

impl<'de, V: Visitor<'de>> serde::de::Expected for Expected<'_, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }
}

fn unexpected(value: &Value) -> serde::de::Unexpected<'_> {
    use serde::de::Unexpected;
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(flag) => Unexpected::Bool(*flag),
        Value::Number(number) => Unexpected::Float(number.as_f64().unwrap_or_default()),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, rename_all = "camelCase")]
    struct Order {
        command: String,
        time_limit: Option<u32>,
        envs: BTreeMap<String, String>,
        inner: Option<Box<Order>>,
        list: Vec<String>,
    }

    #[track_caller]
    fn command(body: &[u8], expected: &str) {
        assert_eq!(decode::<Order>(body).unwrap().command, expected);
    }

    #[track_caller]
    fn refused(body: &[u8]) {
        decode::<Order>(body).unwrap_err();
    }

    #[test]
    fn keys_match_in_any_letter_case_at_every_depth() {
        let order: Order =
            decode(br#"{"COMMAND":"x","TimeLimit":3,"inner":{"Command":"y"},"envs":{"Path":"p"},"list":["a"]}"#)
                .unwrap();
        assert_eq!((order.command.as_str(), order.time_limit), ("x", Some(3)));
        assert_eq!(order.inner.unwrap().command, "y");
        assert_eq!(order.envs["Path"], "p");
        assert_eq!(order.list, ["a"]);
    }

    #[test]
    fn null_is_absent_and_unknown_keys_are_ignored() {
        let order: Order = decode(br#"{"command":null,"envs":null,"timeLimit":null,"nope":[1]}"#).unwrap();
        assert_eq!(order, Order::default());
    }

    #[test]
    fn the_first_value_counts() {
        command(br#"{"command":"a"} trailing {"#, "a");
        command(br#"{"command":"a","command":"b"}"#, "b");
    }

    #[test]
    fn broken_text_becomes_replacement_characters() {
        command(br#"{"command":"a\ud800x"}"#, "a\u{fffd}x");
        command(br#"{"command":"\udc00\ud83d\ude42\ud83d"}"#, "\u{fffd}\u{1f642}\u{fffd}");
        command(br#"{"command":"\\ud800"}"#, "\\ud800");
        command(b"{\"command\":\"\xff\"}", "\u{fffd}");
    }

    #[test]
    fn wrong_types_and_malformed_bodies_are_refused() {
        for body in [
            r#"{"timeLimit":1.0}"#,
            r#"{"timeLimit":-1}"#,
            r#"{"timeLimit":"5"}"#,
            r#"{"envs":{"A":1}}"#,
            r#"{"envs":["A"]}"#,
        ] {
            refused(body.as_bytes());
        }
        for body in ["", "{", "[]", "\"echo\"", "{\"command\":5}", "\u{feff}{}", "{\"command\":\"\\u12"] {
            refused(body.as_bytes());
        }
    }
}
