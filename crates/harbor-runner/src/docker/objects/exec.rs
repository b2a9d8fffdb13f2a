//! Programs that are run in a container beside what runs there.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use crate::docker::objects::client::{Client, QUICK};
use crate::error::{EngineError, EngineSaid};

/// The most that it may say, and that is repeated of it in an error, in bytes.
const SAID: (usize, usize) = (2 << 20, 512);

impl Client {
    /// Runs a program in a container as root and waits until it ends, `limit` at most. One that ended with another code
    /// than 0 is an error, in its words; else all of them are answered.
    pub(crate) async fn run_as_root(
        &self,
        container: &str,
        command: &[&str],
        doing: &str,
        limit: Duration,
    ) -> Result<String, EngineError> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            user: Some("0:0"),
            working_dir: Some("/"),
            ..CreateExecOptions::default()
        };
        let made = self.call(doing, QUICK, self.docker().create_exec(container, options)).await?.id;
        let run = async {
            let mut said = Vec::new();
            if let StartExecResults::Attached { mut output, .. } = self.docker().start_exec(&made, None).await? {
                while let Some(line) = output.next().await {
                    said.extend(line?.into_bytes());
                    if said.len() > SAID.0 {
                        break;
                    }
                }
            }
            Ok(said)
        };
        let mut said = self.call(doing, limit, run).await?;
        let said_all = said.len() <= SAID.0;
        match self.call(doing, QUICK, self.docker().inspect_exec(&made)).await?.exit_code {
            Some(0) if said_all => Ok(String::from_utf8_lossy(&said).into_owned()),
            code => {
                said.truncate(SAID.1);
                let words = String::from_utf8_lossy(&said).trim().to_owned();
                let source = EngineSaid::new(format!("it ended with {code:?}: {words}"));
                Err(EngineError::Refused { doing: doing.to_owned(), source })
            }
        }
    }
}
