//! Charts of a Python program: what notices them and the lines they travel on (contract, toolbox §7.3–7.5).
//!
//! Every program is run by a few lines of ours that watch for matplotlib, by whatever way it is loaded, and do nothing
//! else until then. The reports' own lines carry a word that only this run knows, so they are found wherever they stand; lines that
//! begin with the contract's marker count too, whoever wrote them. A chart that is no chart is dropped, never an error.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::json;

/// What every line with an artifact begins with, whoever writes it.
const MARKER: &[u8] = b"dtn_artifact_k39fd2:";

/// Python lines that run the program on standard input.
const BOOT: &str = include_str!("boot.py");

/// What they need once there is a figure to report, or a failure.
const REPORTER: &str = include_str!("charts.py");

/// Artifacts of a program, in the order shown.
#[derive(Debug, Serialize)]
pub(super) struct Artifacts {
    charts: Vec<Chart>,
}

#[derive(Debug, Deserialize)]
struct Artifact {
    r#type: String,
    value: Chart,
}

/// One figure, or a subplot of a composite one (§7.5).
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Chart {
    r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    png: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    x_label: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    y_label: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    x_ticks: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    y_ticks: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    x_tick_labels: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    y_tick_labels: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    x_scale: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    y_scale: String,
    elements: Option<Vec<Element>>,
}

/// What a chart shows; which members there are depends on its type.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Element {
    #[serde(skip_serializing_if = "String::is_empty")]
    r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    png: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    x_label: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    y_label: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    label: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<Vec<f64>>,
    /// A text on the wire: every client's model says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    angle: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    radius: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_quartile: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    third_quartile: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outliers: Vec<f64>,
}

/// Whether a program says that it uses matplotlib, and so is told by another name (§7.2 and §7.3).
fn says_matplotlib(code: &str) -> bool {
    const SIGNS: [&str; 5] = [
        "import matplotlib",
        "from matplotlib",
        "__import__('matplotlib'",
        "importlib.import_module('matplotlib'",
        "loader.load_module('matplotlib'",
    ];
    code.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default().replace('"', "'");
        SIGNS.iter().any(|sign| line.contains(sign)) || line.contains("sys.modules['matplotlib']")
    })
}

/// How `code` is run so that each figure it shows is reported.
pub(super) struct Watched {
    /// The program that the interpreter is given as its argument.
    pub(super) boot: String,
    /// What it reads.
    pub(super) input: String,
    /// What the reports begin with.
    pub(super) word: String,
}

/// Makes a Python program one whose figures are reported.
pub(super) fn watched(code: &str) -> Watched {
    let word = format!("dtn_artifact_{}:", Uuid::new_v4().simple());
    let is_target = if says_matplotlib(code) { "True" } else { "False" };
    let input = format!("{code}{REPORTER}");
    let boot = format!("{BOOT}_boot({}, {}, '{word}', {is_target})", code.len(), input.len());
    Watched { boot, input, word }
}

/// Takes the artifacts out of a program's output.
pub(super) fn extract(output: Vec<u8>, word: Option<&str>) -> (Vec<u8>, Option<Artifacts>) {
    let mut charts = Vec::new();
    let output = match word {
        None => output,
        Some(word) => take_reports(&output, word.as_bytes(), &mut charts),
    };
    let output = take_marked_lines(output, &mut charts);
    (output, (!charts.is_empty()).then_some(Artifacts { charts }))
}

/// Cuts out every report of the wrapper, its line end included.
fn take_reports(output: &[u8], word: &[u8], charts: &mut Vec<Chart>) -> Vec<u8> {
    let mut kept = Vec::with_capacity(output.len());
    let mut rest = output;
    while let Some(at) = find(rest, word) {
        let (before, report) = rest.split_at(at);
        kept.extend_from_slice(before);
        let end = find(report, b"\n").map_or(report.len(), |end| end + 1);
        charts.extend(chart(&report[word.len()..end]));
        rest = &report[end..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// Takes out every line that begins with the contract's marker.
fn take_marked_lines(output: Vec<u8>, charts: &mut Vec<Chart>) -> Vec<u8> {
    if find(&output, MARKER).is_none() {
        return output;
    }
    let lines = output.split(|&byte| byte == b'\n').filter(|line| match line.strip_prefix(MARKER) {
        None => true,
        Some(payload) => {
            charts.extend(chart(payload));
            false
        }
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}

fn chart(payload: &[u8]) -> Option<Chart> {
    json::decode::<Artifact>(payload).ok().filter(|artifact| artifact.r#type == "chart").map(|artifact| artifact.value)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(offset) = text[from..].iter().position(|&byte| byte == first) {
        from += offset;
        if text[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, word: Option<&str>, text: &str, charts: &str) {
        let (kept, artifacts) = extract(output.as_bytes().to_vec(), word);
        assert_eq!(String::from_utf8(kept).unwrap(), text);
        let charts_found = artifacts.map_or_else(Vec::new, |artifacts| artifacts.charts);
        assert_eq!(serde_json::to_string(&charts_found).unwrap(), charts);
    }

    #[test]
    fn marked_lines_are_taken_out_and_the_rest_stays() {
        let line = r#"dtn_artifact_k39fd2:{"type":"chart","value":{"type":"line","title":"t","elements":[]}}"#;
        let chart = r#"[{"type":"line","title":"t","elements":[]}]"#;
        check(&format!("a\n{line}\nb\n"), None, "a\nb\n", chart);
        check(&format!("{line}\n"), None, "", chart);
        check(&format!("x {line}\n"), None, &format!("x {line}\n"), "[]");
        check("a\ndtn_artifact_k39fd2:no json\nb", None, "a\nb", "[]");
    }

    #[test]
    fn reports_are_found_in_the_middle_of_a_line() {
        check(
            "a w:{\"type\":\"chart\",\"value\":{\"type\":\"unknown\"}}\nb\n",
            Some("w:"),
            "a b\n",
            r#"[{"type":"unknown","elements":null}]"#,
        );
    }

    #[test]
    fn a_chart_with_a_wrong_type_is_dropped() {
        check(
            "w:{\"type\":\"chart\",\"value\":{\"type\":\"bar\",\"elements\":[{\"value\":5}]}}\n",
            Some("w:"),
            "",
            "[]",
        );
    }

    #[test]
    fn imports_of_matplotlib_are_noticed() {
        for code in [
            "import matplotlib.pyplot as plt",
            "x = 1\n  from matplotlib import pyplot",
            "p = __import__(\"matplotlib\")",
            "sys.modules['matplotlib']",
        ] {
            assert!(says_matplotlib(code), "{code}");
        }
        for code in ["# import matplotlib", "import pandas # from matplotlib", "print('matplotlib')"] {
            assert!(!says_matplotlib(code), "{code}");
        }
    }
}
