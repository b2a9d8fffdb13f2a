//! Fuzzing of what a worker sends: the code that it runs may have taken it over.

#![expect(clippy::missing_panics_doc, reason = "a panic is what fuzzing looks for")]

use tokio::sync::mpsc;

use super::output::{Chunk, Exception, Output, Stream, Text};

/// Packets of arbitrary bytes: text of one stream comes out as it went in, whatever its pieces.
pub fn interpreter_packets(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel::<Text>(4);
        let reading = async {
            let mut text = String::new();
            while let Some(read) = receiver.recv().await {
                text += &read.text;
            }
            text
        };
        let sending = async {
            let (mut output, mut exception, mut sent) = (Output::new(&sender), Exception::default(), Vec::new());
            for packet in data.split(|&byte| byte == 0) {
                match packet.split_first() {
                    Some((b'o', payload)) => {
                        output.append(Stream::Output, payload).await;
                        sent.extend_from_slice(payload);
                    }
                    Some((field, payload)) => exception.append(*field, payload),
                    None => output.flush().await,
                }
            }
            output.append(Stream::Error, b"").await;
            let chunk = serde_json::to_vec(&Chunk::error(&exception)).expect("text is JSON");
            drop(output);
            drop(sender);
            (sent, chunk)
        };
        let (text, (sent, _)) = tokio::join!(reading, sending);
        if let Ok(sent) = String::from_utf8(sent) {
            assert_eq!(text, sent);
        }
    });
}
