//! What other programs, shells and narrow terminals get.

use std::fs;
use std::process::Command;

use crate::Case;

#[test]
fn a_terminal_of_50_columns_is_not_overrun() {
    let case = Case::new().with("COLUMNS", "50");
    for arguments in [&["ps"][..], &["--help"], &["up", "--help"], &["logs", "--help"]] {
        let out = case.run(arguments).out;
        assert!(!out.is_empty());
        for line in out.lines() {
            // an example or an option's name is never cut
            let example = line.trim_start().starts_with("harbor ") || line.trim_start().starts_with("eval ");
            let option = line.trim_start().starts_with('-');
            assert!(example || option || line.chars().count() <= 50, "{arguments:?}: {line:?}");
        }
    }
    for component in ["daytona-minio", "daytona-redis"] {
        assert!(case.run(&["ps"]).out.lines().any(|line| line.starts_with(component)), "{component}");
    }
}

#[test]
fn completions_know_keys_and_no_hidden_flag() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = Case::new().run(&["completions", shell]);
        assert_eq!(script.code, 0, "{}", script.err);
        assert!(script.out.contains("uninstall"), "{shell}");
        let knows_words = ["bash", "zsh", "fish"].contains(&shell);
        for word in ["daytona.host_port", "daytona-runner"] {
            assert_eq!(script.out.contains(word), knows_words, "{word} in the script for {shell}");
        }
        for word in ["--detached", "--no-follow", "markdown"] {
            assert!(!script.out.contains(word), "{word} is in the script for {shell}");
        }
    }
}

#[test]
fn json_is_what_it_says() {
    let case = Case::new();
    for (arguments, field, value) in [
        (&["config", "get", "daytona.host_port", "--json"][..], "value", "35000"),
        (&["url", "--json"], "api_url", "http://localhost:35000/api"),
        (&["version", "--json"], "version", env!("CARGO_PKG_VERSION")),
    ] {
        let answer = case.run(arguments);
        let object: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
        assert_eq!(object[field], value, "{arguments:?}");
    }
}

#[test]
fn a_port_that_the_system_chooses_is_not_told_before_it_is_known() {
    let answer = Case::new().with("HARBOR_DAYTONA_HOST_PORT", "0").run(&["url"]);
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    assert!(answer.err.contains("chooses the port when harbor starts"), "{}", answer.err);
}

#[test]
fn a_version_names_its_commit() {
    let said = Case::new().run(&["version"]).out;
    let head = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().unwrap();
    if head.status.success() {
        let head = String::from_utf8(head.stdout).unwrap();
        assert_eq!(said, format!("harbor {} (commit {})\n", env!("CARGO_PKG_VERSION"), head.trim()));
    } else {
        assert_eq!(said, format!("harbor {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_service_is_shown_before_it_is_made() {
    let case = Case::new();
    let shown = case.run(&["service", "install", "--dry-run"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let data = case.data();
    for words in ["ExecStart=", " up --foreground --config ", data.to_str().unwrap(), "WantedBy="] {
        assert!(shown.out.contains(words), "{words}: {}", shown.out);
    }
    assert!(!case.home.path().join(".config").exists() && !case.data().exists());
}

#[test]
fn what_was_never_installed_leaves_nothing_to_remove() {
    let case = Case::new();
    let nothing = case.run(&["uninstall"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (0, "there is nothing of harbor here to remove\n"));
    fs::create_dir(case.data()).unwrap();
    fs::write(case.data().join("thesis.txt"), "").unwrap();
    let foreign = case.run(&["uninstall", "--yes"]);
    assert!(foreign.code == 1 && foreign.err.contains("thesis.txt"), "{}", foreign.err);
    assert!(case.data().join("thesis.txt").exists());
    fs::remove_file(case.data().join("thesis.txt")).unwrap();
    fs::create_dir(case.data().join("logs")).unwrap();
    let dry = case.run(&["uninstall", "--dry-run"]);
    assert!(dry.code == 0 && dry.out.contains(case.data().to_str().unwrap()), "{}", dry.out);
    let asked = case.run(&["uninstall"]);
    assert!(asked.code == 1 && asked.err.contains("harbor uninstall --yes"), "{}", asked.err);
    assert!(case.data().join("logs").exists());
    assert_eq!(case.run(&["uninstall", "--yes"]).code, 0);
    assert!(!case.data().exists());
}

/// That one changes no system: it ends before it looks at any, or only prints.
#[test]
fn the_certificate_is_printed_without_its_key() {
    let case = Case::new();
    for arguments in [&["trust"][..], &["trust", "--remove"], &["trust", "--print"]] {
        let early = case.run(arguments);
        assert_eq!((early.code, early.out.as_str()), (1, ""), "{arguments:?}");
        assert!(early.err.contains("harbor up") && early.err.lines().count() == 1, "{}", early.err);
    }
    assert!(!case.data().exists());
    let certificate = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    fs::create_dir_all(case.data().join("keys")).unwrap();
    fs::write(case.data().join("keys/authority.pem"), format!("{key}{certificate}")).unwrap();
    let printed = case.run(&["trust", "--print"]);
    assert_eq!((printed.code, printed.out.as_str(), printed.err.as_str()), (0, certificate, ""));
}
