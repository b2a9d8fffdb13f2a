//! What is said between the toolbox and a language server: requests under way, and bytes not yet written or understood.
//!
//! Knows neither processes nor pipes. Guarantees: whatever the server sends is understood, of no effect, or its end;
//! answers that it asks for and does not read are bounded.

use std::collections::HashMap;

use bytes::{Buf as _, BytesMut};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::framing::{Malformed, first_body, framed};

/// Most bytes of answers to the server's own questions that it has not read.
const OWED: usize = 4 << 20;

/// Why no more is taken from a server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unbearable {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the language server asks and does not read the answers")]
    Deaf,
}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the language server has ended")]
    Ended,
    #[error("the language server has ended: {0}")]
    OutOfMemory(String),
    #[error("the language server did not answer in time")]
    Late,
    #[error("the language server says: {0}")]
    Refused(String),
}

/// A message to the server, and where its answer goes if it has one.
pub(super) struct Order {
    pub(super) method: &'static str,
    pub(super) params: Value,
    pub(super) answer: Option<oneshot::Sender<Result<Value, Failure>>>,
}

/// One side of the conversation. Who waits for an answer learns of the end when this is dropped.
#[derive(Default)]
pub(super) struct Dialogue {
    unread: BytesMut,
    /// At least as many bytes of `unread` as are answers to the server's questions.
    owed: usize,
    received: BytesMut,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, Failure>>>,
    sent: u64,
}

impl Dialogue {
    /// What the server has not been given yet, and where what it writes is added: [`Dialogue::take_messages`] takes it
    /// from there.
    pub(super) fn buffers(&mut self) -> (&[u8], &mut BytesMut) {
        (&self.unread, &mut self.received)
    }

    /// The server has taken the first `length` bytes of what it had not been given.
    pub(super) fn was_read(&mut self, length: usize) {
        self.unread.advance(length);
        self.owed = self.owed.min(self.unread.len());
    }

    /// Says something to the server.
    pub(super) fn accept(&mut self, order: Order) {
        let Order { method, params, answer } = order;
        let mut message = json!({"jsonrpc": "2.0", "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        if let Some(answer) = answer {
            self.give_up_on_the_late();
            self.sent += 1;
            message["id"] = self.sent.into();
            self.waiting.insert(self.sent, answer);
        }
        self.write(&message);
    }

    /// Tells the server which answers nobody waits for any more.
    fn give_up_on_the_late(&mut self) {
        let late: Vec<_> = self.waiting.iter().filter(|(_, answer)| answer.is_closed()).map(|(&id, _)| id).collect();
        for id in late {
            self.waiting.remove(&id);
            self.write(&json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": id}}));
        }
    }

    fn write(&mut self, message: &Value) {
        self.unread.extend_from_slice(&framed(message.to_string().as_bytes()));
    }

    /// Takes every whole message out of what was received.
    pub(super) fn take_messages(&mut self) -> Result<(), Unbearable> {
        while let Some(body) = first_body(&self.received)? {
            let message = self.received.split_to(body.end);
            // What is not JSON is of no use to anybody here.
            if let Ok(message) = serde_json::from_slice(&message[body]) {
                self.handle(message);
            }
            if self.owed > OWED {
                return Err(Unbearable::Deaf);
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: Value) {
        // Nor is JSON that is no message, such as a batch of them.
        let Value::Object(mut message) = message else { return };
        let id = message.remove("id").unwrap_or_default();
        if message.contains_key("method") {
            // A question of the server's; nothing that it may ask has an answer here.
            if !id.is_null() {
                let before = self.unread.len();
                self.write(&json!({"jsonrpc": "2.0", "id": id, "result": null}));
                self.owed += self.unread.len() - before;
            }
            return;
        }
        let Some(answer) = id.as_u64().and_then(|id| self.waiting.remove(&id)) else { return };
        let result = match message.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(Failure::Refused(error["message"].as_str().unwrap_or("unknown error").to_owned())),
            None => Ok(message.remove("result").unwrap_or_default()),
        };
        // Whoever asked may have gone.
        let _ = answer.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server is given for its `messages`, and what becomes of a request made before.
    fn say(messages: &[&str]) -> (String, Result<Value, Failure>) {
        let mut dialogue = Dialogue::default();
        let (answer, mut answered) = oneshot::channel();
        dialogue.accept(Order { method: "ask", params: Value::Null, answer: Some(answer) });
        dialogue.was_read(dialogue.unread.len());
        for message in messages {
            dialogue.received.extend_from_slice(&framed(message.as_bytes()));
        }
        dialogue.take_messages().unwrap();
        let given = String::from_utf8(dialogue.unread.to_vec()).unwrap();
        (given, answered.try_recv().unwrap_or(Err(Failure::Late)))
    }

    #[test]
    fn what_is_no_message_has_no_effect() {
        let nonsense = ["[]", "1", "\"x\"", "null", "true", "{}", "[{\"id\":1,\"result\":2}]", "{\"id\":[1]}", "{"];
        let (given, answer) = say(&[&nonsense[..], &["{\"id\":1,\"result\":3}"]].concat());
        assert_eq!((given.as_str(), answer.unwrap()), ("", json!(3)));
    }

    #[test]
    fn a_question_of_the_server_is_answered_with_nothing() {
        let (given, answer) = say(&["{\"id\":\"q\",\"method\":\"m\"}", "{\"method\":\"n\"}"]);
        assert!(given.contains("\"id\":\"q\"") && given.matches("Content-Length").count() == 1, "{given}");
        assert!(matches!(answer, Err(Failure::Late)), "{answer:?}");
    }

    #[test]
    fn a_server_that_asks_and_does_not_read_is_given_up() {
        let question = framed(format!("{{\"id\":\"{}\",\"method\":\"m\"}}", "x".repeat(1 << 20)).as_bytes());
        let ask = |dialogue: &mut Dialogue| {
            dialogue.received.extend_from_slice(&question);
            dialogue.take_messages()
        };
        let mut reads = Dialogue::default();
        for _ in 0..20 {
            ask(&mut reads).unwrap();
            reads.was_read(reads.unread.len());
        }
        let mut deaf = Dialogue::default();
        // A document that waits to be read is no answer.
        deaf.accept(Order { method: "open", params: "x".repeat(2 * OWED).into(), answer: None });
        for _ in 0..3 {
            ask(&mut deaf).unwrap();
        }
        assert!(matches!(ask(&mut deaf), Err(Unbearable::Deaf)));
    }
}
