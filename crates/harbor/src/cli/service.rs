//! `harbor service`: a systemd unit, for who wants harbor at boot.
//!
//! Root's unit is the system's; everybody else's is their own, which systemd starts at their login, or at boot once
//! `loginctl enable-linger` was run. The unit runs `harbor up --foreground` on this very installation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use super::arguments::ServiceCommand;
use crate::config::load::Loaded;
use crate::invocation;
use crate::screen;
use crate::secrets::files;

const NAME: &str = "harbor.service";

pub(super) fn run(loaded: &Loaded, command: &ServiceCommand) -> anyhow::Result<ExitCode> {
    let path = unit_path()?;
    match command {
        ServiceCommand::Install { dry_run } => {
            let program = std::env::current_exe().context("cannot find this program")?;
            let unit = unit(&program, &loaded.config.data_dir, &loaded.file)?;
            if *dry_run {
                screen::raw(&format!("# {}\n{unit}", path.display()))?;
                return Ok(ExitCode::SUCCESS);
            }
            install(&path, &unit)?;
        }
        ServiceCommand::Uninstall => {
            if !path.exists() {
                screen::line("there is no service of harbor")?;
                return Ok(ExitCode::SUCCESS);
            }
            forget(std::slice::from_ref(&path));
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            screen::line(&format!("{} is removed", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn install(path: &Path, unit: &str) -> anyhow::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    files::replace(path, unit.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    screen::line(&format!("wrote {}", path.display()))?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "--now", NAME])?;
    screen::line("harbor starts now and from now on; `systemctl status` tells how it is")?;
    if !is_root() {
        screen::note("it starts at your login; `loginctl enable-linger` makes that boot");
    }
    Ok(())
}

/// The unit that runs this installation, where one is installed.
pub(super) fn installed(data_dir: &Path) -> Option<PathBuf> {
    let path = unit_path().ok()?;
    let unit = fs::read_to_string(&path).ok()?;
    unit.contains(&format!("--data-dir {}\n", escaped(&data_dir.to_string_lossy()))).then_some(path)
}

/// Tells systemd that the unit among `files` goes; where there is no systemd, nothing needs to be told.
pub(super) fn forget(files: &[PathBuf]) {
    if files.iter().any(|file| file.file_name().is_some_and(|name| name == NAME)) {
        _ = systemctl(&["disable", "--now", NAME]);
    }
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("systemctl");
    if !is_root() {
        command.arg("--user");
    }
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.context("cannot run systemctl: is this a system with systemd?")?;
    if !output.status.success() {
        bail!("systemctl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn unit_path() -> anyhow::Result<PathBuf> {
    if is_root() {
        return Ok(Path::new("/etc/systemd/system").join(NAME));
    }
    let configuration = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let configuration = configuration.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    Ok(configuration.context("HOME is not set")?.join("systemd/user").join(NAME))
}

fn unit(program: &Path, data_dir: &Path, config_file: &Path) -> anyhow::Result<String> {
    let text = |path: &Path| {
        let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        anyhow::ensure!(!text.contains(char::is_control), "{text:?} cannot stand in a unit");
        anyhow::Ok(escaped(text))
    };
    let (program, data_dir, config_file) = (text(program)?, text(data_dir)?, text(config_file)?);
    // the engine's unit is the system's, which a user's unit cannot name
    let engine = if is_root() { "After=docker.service\nWants=docker.service\n" } else { "" };
    let wanted_by = if is_root() { "multi-user.target" } else { "default.target" };
    Ok(format!(
        "# made by `{}`\n\
         [Unit]\n\
         Description=harbor: sandboxes for AI agents\n\
         {engine}\n\
         [Service]\n\
         ExecStart={program} up --foreground --config {config_file} --data-dir {data_dir}\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         TimeoutStopSec=90\n\
         KillMode=mixed\n\
         \n\
         [Install]\n\
         WantedBy={wanted_by}\n",
        invocation::command("service install")
    ))
}

/// As one word of a unit's command line.
fn escaped(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if escaped.contains(char::is_whitespace) || escaped.contains(['\'', ';']) {
        format!("\"{escaped}\"")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_this_installation() {
        let unit =
            unit(Path::new("/opt/my bin/harbor"), Path::new("/data/50%"), Path::new("/data/50%/config.toml")).unwrap();
        let command = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        assert_eq!(
            command,
            "ExecStart=\"/opt/my bin/harbor\" up --foreground --config /data/50%%/config.toml --data-dir /data/50%%"
        );
        assert!(super::unit(Path::new("/a\nExecStartPre=/b"), Path::new("/d"), Path::new("/c")).is_err());
    }
}
