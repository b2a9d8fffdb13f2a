//! Where log lines go and what they look like.
//!
//! Guarantees: the log file holds one JSON object per line with `time`, `level`, `component`, `target`, `message` and
//! the event's fields, so that `harbor logs` can filter it; a panic is logged before the process ends.

use std::fmt;
use std::sync::Mutex;

use anyhow::Context as _;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt as lines};

use super::log_file::LogFile;
use crate::components;
use crate::config::{Config, LogFormat};

/// RFC 3339, UTC, always three decimals, so that lines align.
pub(crate) const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Starts logging to the log file, and to standard error too when `in_foreground`.
pub(crate) fn start(config: &Config, in_foreground: bool) -> anyhow::Result<()> {
    let path = config.directories().log();
    let file = LogFile::open(&path).with_context(|| format!("cannot open the log file {}", path.display()))?;
    // the S3 library calls every mistake of a client an error
    let directives = match config.log.level.as_str() {
        chosen if chosen.contains("s3s") => chosen.to_owned(),
        chosen => format!("{chosen},s3s=off"),
    };
    let filter = EnvFilter::try_new(directives).context("log.level must be a level such as info, or directives")?;
    let to_file = lines::layer().fmt_fields(JsonFields::new()).event_format(JsonLines).with_writer(Mutex::new(file));
    let to_terminal = in_foreground.then(|| match config.log.format {
        LogFormat::Json => {
            lines::layer().fmt_fields(JsonFields::new()).event_format(JsonLines).with_writer(std::io::stderr).boxed()
        }
        LogFormat::Text => {
            lines::layer().with_ansi(crate::screen::colours_on_stderr()).with_writer(std::io::stderr).boxed()
        }
    });
    tracing_subscriber::registry()
        .with(to_terminal)
        .with(to_file)
        .with(filter)
        .try_init()
        .context("logging was started twice")?;
    log_panics();
    Ok(())
}

fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(reason, place, "a task panicked");
        usual(panic);
    }));
}

/// One JSON object per line.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        let now = OffsetDateTime::now_utc().format(MILLISECONDS).unwrap_or_default();
        line.insert("time".into(), now.into());
        line.insert("level".into(), metadata.level().as_str().to_lowercase().into());
        line.insert("message".into(), "".into());
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.fields.as_str());
            if let Ok(Value::Object(fields)) = serde_json::from_str(fields) {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        // what comes through the `log` crate has the place it was written at in fields
        let bridged = line.remove("log.target");
        line.retain(|name, _| !name.starts_with("log."));
        let target = bridged.as_ref().and_then(Value::as_str).unwrap_or(metadata.target()).to_owned();
        line.insert("component".into(), components::of_target(&target).name.into());
        line.insert("target".into(), target.into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, harbor_model::errors::chain(value).into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The one line that `log` makes.
    #[track_caller]
    fn written(log: impl FnOnce()) -> Value {
        let buffer = Buffer::default();
        let into = buffer.clone();
        let layer =
            lines::layer().fmt_fields(JsonFields::new()).event_format(JsonLines).with_writer(move || into.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_line_has_component_fields_and_the_chain_of_an_error() {
        let line = written(|| {
            let span = tracing::info_span!("request", sandbox = "s1");
            let error = io::Error::other("socket closed");
            span.in_scope(|| {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(target: "harbor_runner::create", error, attempt = 2_u64, "did not\nstart");
            });
        });
        for (name, value) in [
            ("level", Value::from("warn")),
            ("component", "daytona-runner".into()),
            ("message", "did not\nstart".into()),
            ("sandbox", "s1".into()),
            ("attempt", 2.into()),
            ("error", "socket closed".into()),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
    }

    #[test]
    fn a_line_of_the_log_crate_belongs_where_it_was_written() {
        let line = written(|| tracing::info!(log.target = "rusqlite_migration", log.line = 741, "migrated"));
        assert_eq!((&line["target"], &line["component"]), (&"rusqlite_migration".into(), &"daytona-db".into()));
        assert_eq!(line.get("log.line"), None);
    }
}
