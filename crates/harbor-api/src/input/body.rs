//! JSON bodies, as a route reads them once its caller is known.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use super::Warnings;
use super::receive::Received;
use crate::error::ApiError;

/// The most unknown fields that are named.
const MOST_NAMED: usize = 10;

/// Characters of an unknown field's name that are told, so that all that are named fit.
const LONGEST_NAME: usize = 40;

/// The request's JSON body, not yet checked against what the handler expects; `None`: it was empty.
pub(crate) struct Body {
    json: Option<Received>,
    warnings: Warnings,
}

impl<S: Sync> FromRequestParts<S> for Body {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let warnings = Warnings::from_request_parts(parts, state).await?;
        Ok(Self { json: parts.extensions.remove(), warnings })
    }
}

impl Body {
    /// The body as `T`. An empty one is `{}`, unknown fields are ignored with a warning, null means absent, and a refusal
    /// names the field.
    pub(crate) async fn read<T: DeserializeOwned + Send + 'static>(self) -> Result<T, ApiError> {
        let (read, unknown) = match self.json {
            None => parse(b"")?,
            Some(received) => received.parse(parse).await?,
        };
        if let Some(warning) = unknown.warning() {
            self.warnings.add(warning);
        }
        Ok(read)
    }
}

/// Fields that nobody reads.
#[derive(Default)]
struct Unknown {
    /// The first of them.
    named: Vec<String>,
    /// How many follow those.
    more: usize,
}

impl Unknown {
    fn note(&mut self, field: &serde_ignored::Path<'_>) {
        if self.named.len() < MOST_NAMED {
            self.named.push(field.to_string().chars().take(LONGEST_NAME).collect());
        } else {
            self.more += 1;
        }
    }

    fn warning(&self) -> Option<String> {
        let named = self.named.join(", ");
        match self.more {
            0 if named.is_empty() => None,
            0 => Some(format!("unknown fields were ignored: {named}")),
            more => Some(format!("unknown fields were ignored: {named} and {more} more")),
        }
    }
}

/// Straight from the text: nothing is built for what `T` does not hold.
fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<(T, Unknown), ApiError> {
    let object = match json.trim_ascii_start().first() {
        None | Some(b'n') => b"{}",
        Some(b'{') => json,
        Some(_) => return Err(ApiError::invalid("the body must be a JSON object")),
    };
    let mut unknown = Unknown::default();
    let mut note = |field: serde_ignored::Path<'_>| unknown.note(&field);
    let mut text = serde_json::Deserializer::from_slice(object);
    let read = serde_path_to_error::deserialize(serde_ignored::Deserializer::new(&mut text, &mut note));
    let read = read.map_err(|error| {
        let field = error.path().to_string();
        let what = error.into_inner();
        ApiError::invalid(if field == "." { what.to_string() } else { format!("{field}: {what}") })
    })?;
    Ok((read, unknown))
}

/// A whole number: `15` and `15.0`, not `1.5` and not `"15"`.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    if let Some(whole) = number.as_i64() {
        return Ok(Some(whole));
    }
    number
        .as_f64()
        .and_then(whole_of)
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("must be an integer number, not {number}")))
}

/// The integer that `text` is, with or without decimals that are zero.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && digits.as_bytes().first()? != &b'.';
    text.parse().ok().filter(|_| plain).and_then(whole_of)
}

/// `number` as an integer, when it is one that every client can hold exactly.
pub(super) fn whole_of(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    Some(number as i64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Wish {
        #[serde(deserialize_with = "whole")]
        auto_stop: Option<i64>,
        env: Option<BTreeMap<String, String>>,
    }

    fn check(body: Option<Value>, outcome: Result<Wish, &str>) {
        let json = body.map_or_else(String::new, |body| body.to_string());
        let found = parse::<Wish>(json.as_bytes()).map(|(wish, _)| wish).map_err(|error| error.message);
        match (found, outcome) {
            (Ok(found), Ok(wish)) => assert_eq!(found, wish),
            (Err(message), Err(part)) => assert!(message.contains(part), "{message} lacks {part}"),
            (found, wish) => panic!("{found:?} instead of {wish:?}"),
        }
    }

    #[test]
    fn unknown_null_and_absent_are_no_matter() {
        check(None, Ok(Wish::default()));
        check(Some(json!({"autoStop": null, "env": null, "new": [1]})), Ok(Wish::default()));
        check(Some(json!({"autoStop": 15.0})), Ok(Wish { auto_stop: Some(15), env: None }));
    }

    #[test]
    fn fields_that_nobody_reads_are_named_within_bounds() {
        let warning = |json: &str| parse::<Wish>(json.as_bytes()).unwrap().1.warning();
        assert_eq!(warning("{\"autoStop\": 1, \"env\": {\"a\": \"b\"}}"), None);
        let few = "{\"autostop\": 1, \"environment\": {\"deep\": [1]}}";
        assert_eq!(warning(few).as_deref(), Some("unknown fields were ignored: autostop, environment"));
        let many: Vec<String> = (0..1000).map(|number| format!("\"{number:0100}\": 0")).collect();
        let told = warning(&format!("{{{}}}", many.join(","))).unwrap();
        assert!(told.len() < 512 && told.ends_with(" and 990 more"), "{told}");
    }

    #[test]
    fn a_refusal_names_the_field() {
        check(Some(json!([])), Err("JSON object"));
        check(Some(json!({"autoStop": "15"})), Err("autoStop"));
        check(Some(json!({"autoStop": 1.5})), Err("autoStop: must be an integer"));
        check(Some(json!({"env": {"A": 1}})), Err("env.A"));
        check(Some(json!({"env": "A=1"})), Err("env"));
    }
}
