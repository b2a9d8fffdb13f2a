//! `log -z`: the commits from HEAD, newest first.

use std::io::{self, BufWriter, Write as _};

use git2::Time;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::repository::{self, head_branch, head_commit};

/// Options that say what is always so here.
pub(crate) const FLAGS: &[&str] = &["-z", "--no-show-signature", "--no-color", "--no-notes"];

/// Hash, author, address, time and message, NUL between them and after each commit.
const FORMAT: &str = "tformat:%H%x00%an%x00%ae%x00%aI%x00%B";

pub(crate) fn log(arguments: &Arguments) -> Outcome {
    if !arguments.has("-z") || arguments.value("--format") != Some(FORMAT) {
        return Err(Failure::usage("there is one format"));
    }
    let repository = repository::open()?;
    let Some(head) = head_commit(&repository)? else {
        let branch = head_branch(&repository)?.unwrap_or_default();
        return Err(Failure::fatal(&format!("your current branch '{branch}' does not have any commits yet")));
    };
    let mut walk = repository.revwalk()?;
    walk.push(head.id())?;
    let mut output = BufWriter::new(io::stdout().lock());
    for id in walk {
        let commit = repository.find_commit(id?)?;
        let author = commit.author();
        write!(output, "{}\0", commit.id())?;
        for text in [author.name_bytes(), author.email_bytes(), timestamp(author.when()).as_bytes()] {
            output.write_all(text)?;
            output.write_all(b"\0")?;
        }
        output.write_all(commit.message_raw_bytes())?;
        output.write_all(b"\0")?;
    }
    Ok(output.flush()?)
}

/// A time with its own offset; one that is out of all bounds is the beginning of time.
fn timestamp(when: Time) -> String {
    let offset = UtcOffset::from_whole_seconds(when.offset_minutes() * 60).unwrap_or(UtcOffset::UTC);
    let at = OffsetDateTime::from_unix_timestamp(when.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.to_offset(offset).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_offset() {
        assert_eq!(timestamp(Time::new(1_714_723_200, 120)), "2024-05-03T10:00:00+02:00");
        assert_eq!(timestamp(Time::new(0, -210)), "1969-12-31T20:30:00-03:30");
    }
}
