//! What an engine can do that it does not say: tried once per engine and boot, then remembered.

use std::fs;
use std::path::PathBuf;

use harbor_model::ids::SandboxId;

use crate::about::About;
use crate::config::Transport;
use crate::docker::handle::DockerEngine;
use crate::docker::naming;
use crate::docker::spec::{self, FILES, Host};
use crate::error::EngineError;

impl DockerEngine {
    /// Puts in force what this engine can, trying it out unless that is remembered.
    pub(crate) async fn apply(&self, about: &About) -> Result<(), EngineError> {
        let path = self.config().run_directory.join("engine");
        let key = key(about);
        let remembered = fs::read_to_string(&path).ok().and_then(|text| parse(&text, &key));
        let (transport, files) = if let Some(findings) = remembered {
            findings
        } else {
            let findings = tokio::try_join!(self.try_transport(about), self.try_files())?;
            let doing = format!("write {}", path.display());
            fs::write(&path, render(&key, findings)).map_err(|source| EngineError::Files { doing, source })?;
            findings
        };
        self.decide_transport(transport);
        self.note_host(Host { processors: about.processors, files });
        Ok(())
    }

    /// How infra is reached: by its socket if that works, when nothing else is configured.
    async fn try_transport(&self, about: &About) -> Result<Transport, EngineError> {
        if let Some(transport) = self.decided_transport() {
            return Ok(transport);
        }
        if !self.shares_kernel(Some(&about.kernel)) {
            return Ok(Transport::Streaming);
        }
        let probe = SandboxId::random();
        let outcome = self.reserve(&probe).await;
        self.remove(&probe).await?;
        match outcome {
            Ok(()) => Ok(Transport::Passing),
            Err(error @ EngineError::InfraSilent { .. }) => {
                tracing::info!(error = &error as &dyn std::error::Error, "no socket from infra: streaming instead");
                Ok(Transport::Streaming)
            }
            Err(error) => Err(error),
        }
    }

    /// The most open files of [`FILES`] that the engine can give.
    async fn try_files(&self) -> Result<u32, EngineError> {
        let name = naming::probe(self.instance());
        for most in FILES {
            self.remove_container(&name).await?;
            let outcome = self.start_with_files(&name, most).await;
            self.remove_container(&name).await?;
            match outcome {
                Err(error) if error.engine_says().is_some_and(|message| message.contains("rlimit")) => {}
                outcome => return outcome.map(|()| most),
            }
        }
        Ok(FILES[FILES.len() - 1])
    }

    async fn start_with_files(&self, name: &str, most: u32) -> Result<(), EngineError> {
        let made = self.client().create_container(name, spec::probe(self.config(), most)).await?;
        self.client().start_container(&made, &format!("start container {name}")).await
    }
}

/// What findings are about: this engine, in this boot of this machine.
fn key(about: &About) -> String {
    let boot = fs::read_to_string(PathBuf::from("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    format!("{} {}", about.id, boot.trim())
}

fn render(key: &str, (transport, files): (Transport, u32)) -> String {
    let transport = match transport {
        Transport::Passing => "passing",
        Transport::Streaming => "streaming",
    };
    format!("{key}\n{transport}\n{files}\n")
}

/// Reads what [`render`] wrote, if it is about the same engine and boot.
fn parse(text: &str, key: &str) -> Option<(Transport, u32)> {
    let mut lines = text.lines();
    if lines.next()? != key {
        return None;
    }
    let transport = match lines.next()? {
        "passing" => Transport::Passing,
        "streaming" => Transport::Streaming,
        _ => return None,
    };
    Some((transport, lines.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_back_for_the_same_engine_only() {
        for findings in [(Transport::Passing, 60_000), (Transport::Streaming, 4_000)] {
            let text = render("engine boot", findings);
            assert_eq!(parse(&text, "engine boot"), Some(findings));
            assert_eq!(parse(&text, "engine other"), None);
        }
        assert_eq!(parse("engine boot\npass", "engine boot"), None);
    }
}
