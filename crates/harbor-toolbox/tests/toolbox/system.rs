//! The environment and what the sandbox uses.

use serde_json::json;

use crate::client::Toolbox;

#[test]
fn changes_of_the_environment_reach_what_starts_later() {
    let toolbox = Toolbox::start_with(&json!({"env": {"A": "a", "B": "secret-1", "C": "secret-2", "D": "d"}}));
    let show = || toolbox.execute("echo \"$A|$B|$C|$D|$E\"").1;
    assert_eq!(show(), "a|secret-1|secret-2|d|\n");
    toolbox.session("old");
    let change = json!({"set": {"B": "b", "E": "e e"}, "unset": ["A", "NONE"], "unsetValuePrefix": "secret-"});
    let answer = toolbox.post("/env", &change);
    assert!(answer.status == 200 && answer.json()["message"].is_string(), "{answer:?}");
    assert_eq!(show(), "|b||d|e e\n");
    toolbox.session("new");
    for (session, expected) in [("old", "a|secret-1\n"), ("new", "|b\n")] {
        assert_eq!(toolbox.run(session, "echo \"$A|$B\"").json()["stdout"], expected);
    }
    // A later configure, such as after a pause, does not undo it.
    toolbox.set_environment(&json!({"A": "a", "D": "new"}));
    assert_eq!(show(), "|b||new|e e\n");
    for wrong in
        [json!({"set": {"1X": ""}}), json!({"unset": ["A=B"]}), json!({"set": {"X": "a\0b"}}), json!({"set": 1})]
    {
        assert_eq!(toolbox.post("/env", &wrong).refusal().0, 400, "{wrong}");
    }
    assert_eq!(toolbox.post("/env", &json!({})).status, 200);
}

#[test]
fn metrics_are_plausible() {
    let toolbox = Toolbox::start();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let metrics = toolbox.get("/system/metrics").json();
    let number = |name: &str| metrics[name].as_u64().unwrap_or_else(|| panic!("{name} in {metrics}"));
    assert!(number("cpuCount") >= 1);
    assert!((0.0..=10_000.0).contains(&metrics["cpuUsedPct"].as_f64().unwrap()));
    assert!(number("memTotal") >= number("memUsed") && number("memUsed") > 0);
    assert!(number("diskTotal") >= number("diskUsed") && number("diskFree") > 0);
    assert!(number("memCache") < number("memTotal") && number("timestampUnix") > 1_700_000_000);
    let time = metrics["timestamp"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() <= "2026-01-01T00:00:00.000000Z".len(), "{time}");
}
