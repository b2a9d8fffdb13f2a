//! `POST /process/code-run`: a program run by its language's interpreter (contract, toolbox §7).
//!
//! Python and JavaScript are read from standard input, TypeScript from a temporary file. The sandbox's shell looks the
//! interpreter up, so that what its start files do to PATH counts; in an image without a shell PATH is searched here.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answer::{holding, text_of};
use super::capture::{self, Finished};
use super::charts::{self, Artifacts, Watched};
use crate::context::Context;
use crate::environment::Environment;
use crate::http::error::Error;
use crate::http::json::{self, Json};
use crate::process::command::{Variables, check_names, command, limit, on_path};
use crate::process::{Prepared, Shell, quote};

/// The exit code of a shell that does not find a command.
const NOT_FOUND: i32 = 127;

/// How much of the budget each byte of output takes. The answer takes up to seven times as much while it is made: a
/// byte that is no text becomes three, a control character six, and what it is made of is still there.
const WEIGHT: usize = 2;

/// Drops what stands in the place of the program's name, so that the first argument is `process.argv[1]`.
const DROP_NAME: &str = "process.argv.splice(1, 1);\n";

#[derive(Default, Deserialize)]
#[serde(default)]
struct CodeRun {
    code: String,
    language: String,
    argv: Vec<String>,
    envs: Variables,
    timeout: Option<u32>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(rename = "exitCode")]
    exit_code: i32,
    result: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts: Option<Artifacts>,
}

#[derive(Clone, Copy)]
enum Language {
    Python,
    JavaScript,
    TypeScript,
}

pub(super) async fn code_run(State(context): State<Context>, request: Request) -> Result<Response, Error> {
    let order = parse(&json::read(request).await?)?;
    check_names(&order.envs)?;
    let language = match order.language.as_str() {
        "python" => Language::Python,
        "javascript" => Language::JavaScript,
        "typescript" => Language::TypeScript,
        other => return Err(Error::bad_request(format!("unsupported language: {other}"))),
    };
    let program = Program::new(language, &order.code)?;
    let finished = program.run(&context, &order).await?;
    let (output, share) = finished.output.into_parts();
    let (output, artifacts) = charts::extract(output, program.word.as_deref());
    let answer = Answer { exit_code: finished.exit_code, result: text_of(output), artifacts };
    Ok(holding(share, Json(answer).into_response()))
}

fn parse(body: &[u8]) -> Result<CodeRun, Error> {
    let order: Option<CodeRun> = json::decode(body)?;
    let order = order.unwrap_or_default();
    for (name, value) in [("code", &order.code), ("language", &order.language)] {
        if value.is_empty() {
            return Err(Error::invalid_body(format!("{name} is required")));
        }
    }
    Ok(order)
}

/// A program ready to be run.
struct Program {
    /// What its interpreter reads from standard input.
    input: String,
    /// How to call it, in order of preference: the interpreter and its arguments.
    calls: Vec<Vec<String>>,
    /// What chart reports in its output begin with.
    word: Option<String>,
    /// Its temporary file, removed with this value.
    _file: Option<TemporaryFile>,
}

impl Program {
    fn new(language: Language, code: &str) -> Result<Self, Error> {
        Ok(match language {
            Language::Python => Self::python(code),
            Language::JavaScript => {
                let input = format!("{DROP_NAME}{code}");
                Self { input, calls: vec![words(&["node", "-"])], word: None, _file: None }
            }
            Language::TypeScript => Self::typescript(code)?,
        })
    }

    fn python(code: &str) -> Self {
        let Watched { boot, input, word } = charts::watched(code);
        let calls = ["python3", "python"].map(|python| words(&[python, "-u", "-c", &boot])).into();
        Self { input, calls, word: Some(word), _file: None }
    }

    fn typescript(code: &str) -> Result<Self, Error> {
        let file = TemporaryFile::new("ts", &format!("{DROP_NAME}{code}"))
            .map_err(|error| Error::internal(format!("cannot write the program to a temporary file: {error}")))?;
        let path = file.0.to_string_lossy().into_owned();
        let options = [
            "--transpile-only",
            "--ignore-diagnostics",
            "5107",
            "--compilerOptions",
            r#"{"module":"CommonJS"}"#,
            &path,
        ];
        // A project's own ts-node comes first, as with npx; npx itself takes a second to start.
        let calls = [&["node_modules/.bin/ts-node"][..], &["ts-node"], &["npx", "--loglevel=error", "ts-node"]];
        let calls = calls.iter().map(|call| words(&[*call, &options].concat())).collect();
        Ok(Self { input: String::new(), calls, word: None, _file: Some(file) })
    }

    async fn run(&self, context: &Context, order: &CodeRun) -> Result<Finished, Error> {
        let environment = context.environment();
        let directory = context.work_dir();
        let shell = Shell::of(&environment);
        let command = if shell.exists(&environment) {
            let Prepared { mut command, preamble } = shell.prepare(&environment, &order.envs, &directory);
            command.arg("-c").arg(preamble + &self.line(&order.argv));
            command
        } else {
            match self.without_shell(&environment, order, &directory) {
                Some(command) => command,
                None => return Ok(self.nothing_to_run_it(context)),
            }
        };
        capture::run(context.processes(), command, &directory, self.input.as_bytes(), limit(order.timeout), WEIGHT)
            .await
    }

    /// A line for any shell: the first call whose interpreter is there, else one whose failure says what is missing.
    fn line(&self, argv: &[String]) -> String {
        let call = |call: &[String]| {
            let words: Vec<_> = call.iter().chain(argv).map(|word| quote(word)).collect();
            format!("exec {}", words.join(" "))
        };
        let attempts = self.calls.iter().map(|candidate| {
            format!("if command -v {} >/dev/null 2>&1; then {}; fi\n", quote(&candidate[0]), call(candidate))
        });
        attempts.collect::<String>() + &call(self.by_name())
    }

    /// The call to name when there is no interpreter at all: the first that PATH would be searched for.
    fn by_name(&self) -> &[String] {
        self.calls.iter().find(|call| !call[0].contains('/')).map_or(&[], Vec::as_slice)
    }

    fn without_shell(&self, environment: &Environment, order: &CodeRun, directory: &Path) -> Option<Command> {
        let call = self.calls.iter().find(|call| on_path(OsStr::new(&call[0]), environment).is_some())?;
        let mut command = command(&OsString::from(&call[0]), environment, &order.envs, directory);
        command.args(&call[1..]).args(&order.argv);
        Some(command)
    }

    fn nothing_to_run_it(&self, context: &Context) -> Finished {
        let mut output = context.processes().output_budget().output(WEIGHT);
        let interpreter = self.by_name().first().map_or("", String::as_str);
        output.bytes = format!("{interpreter}: command not found\n").into_bytes();
        Finished { exit_code: NOT_FOUND, output }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A file of this user alone, removed when dropped.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// In the directory for such files, or in memory in an image that has none.
    fn new(extension: &str, text: &str) -> io::Result<Self> {
        let name = format!("dtn_{}.{extension}", Uuid::new_v4().simple());
        Self::write(std::env::temp_dir().join(&name), text)
            .or_else(|error| Self::write(Path::new("/dev/shm").join(&name), text).map_err(|_| error))
    }

    fn write(path: PathBuf, text: &str) -> io::Result<Self> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let file_made = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(file_made)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}
