//! Answers of language servers in the shape that clients take (contract, toolbox §13 and §19).

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A symbol in a file; clients need every member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Symbol {
    pub(super) name: String,
    kind: i64,
    location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Location {
    uri: String,
    range: Range,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Position {
    line: u64,
    character: u64,
}

/// The symbols of an answer, those inside others after them; `uri` is the file's where the answer does not say.
pub(super) fn symbols(answer: &Value, uri: &str) -> Vec<Symbol> {
    let mut found = Vec::new();
    let mut rest: Vec<&Value> = list(answer).iter().rev().collect();
    while let Some(item) = rest.pop() {
        rest.extend(list(&item["children"]).iter().rev());
        let Some(name) = item["name"].as_str() else { continue };
        let location = &item["location"];
        let range = location.get("range").or_else(|| item.get("range")).map(range).unwrap_or_default();
        let uri = location["uri"].as_str().unwrap_or(uri).to_owned();
        let kind = item["kind"].as_i64().unwrap_or_default();
        found.push(Symbol { name: name.to_owned(), kind, location: Location { uri, range } });
    }
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn range(value: &Value) -> Range {
    let position = |value: &Value| Position {
        line: value["line"].as_u64().unwrap_or_default(),
        character: value["character"].as_u64().unwrap_or_default(),
    };
    Range { start: position(&value["start"]), end: position(&value["end"]) }
}

/// Completions: a list or a bare array becomes the list that clients take.
pub(super) fn completions(answer: &Value) -> Value {
    let items = answer.as_array().map_or_else(|| list(&answer["items"]), Vec::as_slice);
    let incomplete = answer["isIncomplete"].as_bool().unwrap_or(false);
    json!({"isIncomplete": incomplete, "items": items.iter().filter_map(completion).collect::<Vec<_>>()})
}

/// One completion, with the members that clients know and in the types that they take.
fn completion(item: &Value) -> Option<Value> {
    let mut shown = Map::new();
    shown.insert("label".to_owned(), item["label"].as_str()?.into());
    if let Some(kind) = item["kind"].as_i64() {
        shown.insert("kind".to_owned(), kind.into());
    }
    match &item["documentation"] {
        Value::String(text) => {
            shown.insert("documentation".to_owned(), json!({"kind": "plaintext", "value": text}));
        }
        Value::Object(documentation) => {
            shown.insert("documentation".to_owned(), documentation.clone().into());
        }
        _ => {}
    }
    for name in ["detail", "sortText", "filterText", "insertText"] {
        if let Some(text) = item[name].as_str() {
            shown.insert(name.to_owned(), text.into());
        }
    }
    Some(shown.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_symbols_become_a_flat_list() {
        let range = json!({"start": {"line": 1, "character": 0}, "end": {"line": 3, "character": 2}});
        let answer = json!([
            {"name": "A", "kind": 5, "range": range, "children": [{"name": "run", "kind": 6, "range": range}]},
            {"name": "b", "kind": 13, "location": {"uri": "file:///other", "range": range}},
            {"name": "c", "kind": 13, "location": {"uri": "file:///c"}},
            {"kind": 1},
        ]);
        let found = serde_json::to_value(symbols(&answer, "file:///x")).unwrap();
        let symbol = |name: &str, kind: u8, uri: &str, range: &Value| json!({"name": name, "kind": kind, "location": {"uri": uri, "range": range}});
        let nowhere = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
        let expected = json!([
            symbol("A", 5, "file:///x", &range),
            symbol("run", 6, "file:///x", &range),
            symbol("b", 13, "file:///other", &range),
            symbol("c", 13, "file:///c", &nowhere),
        ]);
        assert_eq!(found, expected);
        assert_eq!(symbols(&Value::Null, ""), []);
    }

    #[test]
    fn completions_have_the_types_that_clients_take() {
        let answer = json!([{"label": "run", "kind": 2, "documentation": "text", "data": {"x": 1}, "detail": null}]);
        let expected = json!({"isIncomplete": false, "items": [
            {"label": "run", "kind": 2, "documentation": {"kind": "plaintext", "value": "text"}}]});
        assert_eq!(completions(&answer), expected);
        let listed = json!({"isIncomplete": true, "items": [{"label": "a", "insertText": "b"}, {"kind": 1}]});
        assert_eq!(completions(&listed), json!({"isIncomplete": true, "items": [{"label": "a", "insertText": "b"}]}));
        assert_eq!(completions(&Value::Null), json!({"isIncomplete": false, "items": []}));
    }
}
