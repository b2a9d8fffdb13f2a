//! Queries: form-decoded, arrays as repeated keys or with brackets (contract, control-plane §1.5).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use harbor_model::Timestamp;
use http::request::Parts;
use url::form_urlencoded;

use super::body::whole_of;
use super::date::date;
use crate::error::ApiError;

/// A request's query. Reading collects problems; [`Query::finish`] refuses with all of them. Blank means absent.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    problems: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes())
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        Self { pairs, problems: Vec::new() }
    }

    /// Refuses when anything read so far was wrong.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        ApiError::all(&self.problems)
    }

    /// Notes what is wrong, for [`Query::finish`].
    pub(crate) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    /// All values of an array: `key=a&key=b`, `key[]=a` or `key[0]=a`.
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let same = |name: &str| {
            name == key
                || name.strip_prefix(key).is_some_and(|rest| {
                    rest.strip_prefix('[')
                        .and_then(|rest| rest.strip_suffix(']'))
                        .is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
                })
        };
        self.pairs.iter().filter(|(name, _)| same(name)).map(|(_, value)| value.clone()).collect()
    }

    /// All values of an array that may only hold these words.
    pub(crate) fn words(&mut self, key: &str, allowed: &[&str]) -> Vec<String> {
        let values = self.texts(key);
        if values.iter().any(|value| !allowed.contains(&value.as_str())) {
            self.problem(format!("each value in {key} must be one of the following values: {}", allowed.join(", ")));
        }
        values
    }

    /// A whole number within these bounds; floats such as `1e+06` are numbers too.
    pub(crate) fn integer(&mut self, key: &str, least: i64, most: i64) -> Option<i64> {
        let text = self.text(key)?;
        let Some(number) = text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(whole_of)) else {
            self.problem(format!("{key} must be an integer number"));
            return None;
        };
        if number < least {
            self.problem(format!("{key} must not be less than {least}"));
        } else if number > most {
            self.problem(format!("{key} must not be greater than {most}"));
        }
        Some(number)
    }

    /// `true` or `false`, also with a capital.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.text(key)?.as_str() {
            "true" | "True" => Some(true),
            "false" | "False" => Some(false),
            _ => {
                self.problem(format!("{key} must be true or false"));
                None
            }
        }
    }

    pub(crate) fn date(&mut self, key: &str) -> Option<Timestamp> {
        let found = date(&self.text(key)?);
        if found.is_none() {
            self.problem(format!("{key} must be a date in ISO 8601, for example 2026-01-31T12:00:00.000Z"));
        }
        found
    }

    /// The meaning of one of these words, or of the first of them when the key is absent.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, words: &[(&'static str, T)]) -> (&'static str, T) {
        if let Some(text) = self.text(key) {
            if let Some(found) = words.iter().find(|(word, _)| *word == text) {
                return *found;
            }
            let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format!("{key} must be one of the following values: {}", allowed.join(", ")));
        }
        words[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_in_three_forms_and_are_not_split() {
        let query = Query::parse("a=1&a=2&b[]=3&b%5B%5D=4&c[0]=5&c[x]=6&d=7,8&e=&ab=9");
        assert_eq!(query.texts("a"), ["1", "2"]);
        assert_eq!(query.texts("b"), ["3", "4"]);
        assert_eq!(query.texts("c"), ["5"]);
        assert_eq!(query.texts("d"), ["7,8"]);
        assert!(query.texts("e").is_empty());
    }

    #[test]
    fn a_plus_is_a_blank() {
        let query = Query::parse("labels=%7B%22a%22%3A+1%7D&other=%2B");
        assert_eq!(query.text("labels").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(query.text("other").as_deref(), Some("+"));
    }

    #[test]
    fn numbers_come_as_floats_too() {
        let mut query = Query::parse("a=100&b=1e%2B06&c=2.0&d=1.5&e=x&f=0&g=NaN");
        assert_eq!(query.integer("a", 1, 200), Some(100));
        assert_eq!(query.integer("b", 1, 2_000_000), Some(1_000_000));
        assert_eq!(query.integer("c", 1, 2), Some(2));
        for key in ["d", "e", "g"] {
            assert_eq!(query.integer(key, 1, 2), None);
        }
        query.integer("f", 1, 200);
        query.integer("a", 1, 99);
        let message = query.finish().unwrap_err().message;
        for part in ["d must be an integer number, e must", "f must not be less than 1, a must not be greater than 99"]
        {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn words_flags_and_dates() {
        let mut query = Query::parse("sort=name&order=up&p=True&q=perhaps&at=2026-01-31T12:00:00.000+0000&states=x");
        assert_eq!(query.choice("sort", &[("id", 1), ("name", 2)]), ("name", 2));
        assert_eq!(query.choice("order", &[("desc", 1)]), ("desc", 1));
        assert_eq!((query.flag("p"), query.flag("q"), query.flag("r")), (Some(true), None, None));
        assert!(query.date("at").is_some());
        query.words("states", &["started"]);
        let message = query.finish().unwrap_err().message;
        assert_eq!(
            message,
            "order must be one of the following values: desc, q must be true or false, \
             each value in states must be one of the following values: started"
        );
    }
}
