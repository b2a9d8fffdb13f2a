//! Values are judged alike wherever they come from: `config set`, `config.toml`, the environment, a flag.

use std::fs;

use crate::{Case, STARTS, check_refused};

/// Each would be accepted by name and break the next start, or silence its logs.
const WRONG: [(&str, &str); 8] = [
    ("log.level", "loud"),
    ("public_url.api", "ftp://x"),
    ("daytona.ssh_host_key", "foo"),
    ("docker_host", "foo"),
    ("data_dir", "/a:b"),
    ("daytona.admin_email", "nobody"),
    ("daytona.default_snapshot", "not an image"),
    ("daytona.minio_bucket", "Not_A_Bucket"),
];

#[test]
fn a_wrong_value_is_refused_wherever_it_comes_from() {
    for (key, value) in WRONG {
        let must = format!("{key} must be ");
        let case = Case::new();
        let set = case.run(&["config", "set", key, value]);
        assert!(set.code == 1 && set.err.contains(&must) && set.err.lines().count() == 1, "{}", set.err);
        assert!(!case.data().join("config.toml").exists());

        let variable = format!("HARBOR_{}", key.replace('.', "_").to_uppercase());
        if key != "data_dir" {
            let by_variable = case.with(variable.leak(), value);
            check_refused(&by_variable, STARTS[1], &[], &[&must]);
        }

        let case = Case::new();
        fs::create_dir(case.data()).unwrap();
        let line = match key.split_once('.') {
            Some((section, name)) => format!("[{section}]\n{name} = \"{value}\"\n"),
            None => format!("{key} = \"{value}\"\n"),
        };
        fs::write(case.data().join("config.toml"), line).unwrap();
        check_refused(&case, STARTS[1], &[], &["config.toml", &must]);

        let flag = format!("--{}={value}", key.trim_start_matches("daytona.").replace(['.', '_'], "-"));
        if !["daytona.ssh_host_key", "data_dir", "daytona.minio_bucket"].contains(&key) {
            check_refused(&Case::new(), STARTS[1], &[&flag], &[&must]);
        }
    }
}

#[test]
fn two_equal_ports_are_refused_before_the_next_start() {
    let case = Case::new();
    let set = case.run(&["config", "set", "daytona.proxy_host_port", "35000"]);
    assert_eq!(set.code, 1);
    assert!(set.err.contains("daytona.host_port and daytona.proxy_host_port are both 35000"), "{}", set.err);
    assert!(!case.data().join("config.toml").exists(), "nothing is kept");
    let chosen = case.run(&["config", "set", "daytona.host_port", "0"]);
    assert!(chosen.code == 0 && chosen.err.contains("another port at each start"), "{}", chosen.err);
}

#[test]
fn a_key_that_the_environment_sets_says_so() {
    let case = Case::new().with("HARBOR_DAYTONA_HOST_PORT", "35101");
    let set = case.run(&["config", "set", "daytona.host_port", "35102"]);
    assert!(set.code == 0 && set.err.contains("HARBOR_DAYTONA_HOST_PORT is set and wins"), "{}", set.err);
    let other = case.run(&["config", "set", "log.level", "debug"]);
    assert!(other.code == 0 && !other.err.contains("wins"), "{}", other.err);
}

#[test]
fn a_weak_key_is_refused_where_others_can_connect() {
    for (variable, value) in [("HARBOR_DAYTONA_ADMIN_API_KEY", "x"), ("HARBOR_DAYTONA_ADMIN_PASSWORD", "hunter2")] {
        let case = Case::new().with(variable, value);
        for start in STARTS {
            let named = ["too weak", "at least", "harbor config set", variable, "unset"];
            check_refused(&case, start, &["--bind=0.0.0.0"], &named);
        }
        assert!(!case.data().join("keys").exists());
        let doctor = case.with("HARBOR_BIND", "0.0.0.0").run(&["doctor"]);
        let line = doctor.out.lines().find(|line| line.contains("exposure")).unwrap();
        assert!(line.contains("failed") && line.contains("everybody who reaches this machine"), "{line}");
    }
}
