//! What a container reads and writes while it runs.

use std::pin::Pin;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use crate::docker::objects::client::{Client, SLOW};
use crate::error::EngineError;

/// What a container writes, until its end.
pub(crate) type Output = BoxStream<'static, Result<Said, String>>;

/// The ends of a container's streams.
pub(crate) struct Attached {
    /// Its standard input, if it was made with one.
    pub(crate) input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes; ends with it.
    pub(crate) output: Output,
}

/// Something that a container wrote.
pub(crate) enum Said {
    /// On standard output.
    Output(Bytes),
    /// On standard error.
    Error(Bytes),
}

impl Client {
    /// Attaches to a container that has not been started yet, so that nothing of what it writes is missed.
    pub(crate) async fn attach(&self, container: &str, doing: &str) -> Result<Attached, EngineError> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
        let call = self.docker().attach_container(container, Some(options));
        let AttachContainerResults { output, input } = self.call(doing, SLOW, call).await?;
        let output = output.map(|said| match said {
            Ok(LogOutput::StdErr { message }) => Ok(Said::Error(message)),
            Ok(LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message }) => {
                Ok(Said::Output(message))
            }
            Err(error) => Err(error.to_string()),
        });
        Ok(Attached { input, output: output.boxed() })
    }
}
