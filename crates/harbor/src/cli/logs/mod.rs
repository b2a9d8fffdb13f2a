//! `harbor logs`: the log file, filtered and, where that is asked for, followed.

mod filter;
pub(super) mod since;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::arguments::Logs;
use crate::config::directories::Directories;
use crate::process::log_file::aside;
use crate::screen::{self, Colour, paint};
use filter::LineFilter;

/// How often the file is looked at while following.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Lines shown unless told otherwise.
const USUAL: usize = 100;

pub(super) fn run(directories: &Directories, options: &Logs) -> anyhow::Result<ExitCode> {
    let filter = LineFilter::new(options)?;
    let most = options.tail.unwrap_or(if options.since.is_some() { usize::MAX } else { USUAL });
    let path = directories.log();
    let mut tail = Tail::new(path.clone());
    let mut last = VecDeque::new();
    // enough of the past for `tail` lines even when most belong to other components, and never more than is kept
    for number in (1..=3).rev() {
        push(&mut last, read_lines(&aside(&path, number))?, &filter, most);
    }
    push(&mut last, tail.more()?, &filter, most);
    if last.is_empty() && !path.exists() {
        bail!("there are no logs yet: `harbor up` starts harbor");
    }
    for line in last {
        show(&line, options.json)?;
    }
    if !options.follow || options.no_follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        thread::sleep(LOOK_EVERY);
        for line in tail.more()?.iter().filter(|line| filter.has(line)) {
            show(line, options.json)?;
        }
    }
}

fn push(last: &mut VecDeque<String>, lines: Vec<String>, filter: &LineFilter, most: usize) {
    for line in lines.into_iter().filter(|line| filter.has(line)) {
        last.push_back(line);
        if last.len() > most {
            last.pop_front();
        }
    }
}

fn read_lines(path: &Path) -> anyhow::Result<Vec<String>> {
    match File::open(path) {
        Ok(file) => Ok(BufReader::new(file).lines().map_while(Result::ok).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Reads what is appended to a file that is renamed away when it is full.
struct Tail {
    path: PathBuf,
    open: Option<(File, u64)>,
    partial: Vec<u8>,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, open: None, partial: Vec::new() }
    }

    /// Whole lines that came since the last call.
    fn more(&mut self) -> anyhow::Result<Vec<String>> {
        let mut lines = self.drain()?;
        let current = fs::metadata(&self.path).map(|metadata| metadata.ino()).ok();
        if current.is_some() && current != self.open.as_ref().map(|(_, inode)| *inode) {
            lines.extend(self.drain()?); // written between the last read and the rename
            let file = File::open(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
            let inode = file.metadata()?.ino();
            self.open = Some((file, inode));
            lines.extend(self.drain()?);
        }
        Ok(lines)
    }

    fn drain(&mut self) -> anyhow::Result<Vec<String>> {
        if let Some((file, _)) = &mut self.open {
            file.read_to_end(&mut self.partial).with_context(|| format!("cannot read {}", self.path.display()))?;
        }
        let whole = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = self.partial.drain(..whole).collect::<Vec<_>>();
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }
}

fn show(line: &str, as_json: bool) -> anyhow::Result<()> {
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(object) if !as_json => screen::line(&for_people(object)),
        _ => screen::line(line),
    }
}

/// `12:00:00.123 WARN daytona-runner did not start attempt=2`
fn for_people(mut object: Map<String, Value>) -> String {
    let mut take = |name: &str| object.remove(name).map(|value| plain(&value)).unwrap_or_default();
    let (time, level, component, message) = (take("time"), take("level"), take("component"), take("message"));
    take("target");
    let level = level.to_uppercase();
    let colour = match level.as_str() {
        "ERROR" => Colour::Red,
        "WARN" => Colour::Yellow,
        "INFO" => Colour::Green,
        _ => Colour::Dim,
    };
    let mut text =
        format!("{} {} {component:<16} {message}", paint(&time, Colour::Dim), paint(&format!("{level:<5}"), colour));
    for (name, value) in &object {
        text = format!("{text} {}{}", paint(&format!("{name}="), Colour::Dim), plain(value));
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn following_survives_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("harbor.log");
        let append = |text: &str| {
            File::options().create(true).append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        let mut tail = Tail::new(path.clone());
        assert!(tail.more().unwrap().is_empty());
        append("one\ntw");
        assert_eq!(tail.more().unwrap(), ["one"]);
        append("o\n");
        fs::rename(&path, aside(&path, 1)).unwrap();
        append("three\n");
        assert_eq!(tail.more().unwrap(), ["two", "three"]);
        assert!(tail.more().unwrap().is_empty());
    }
}
