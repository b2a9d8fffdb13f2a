//! How [`Seen`] stands in its column: a JSON object of its own, apart from the model, with a version.
//!
//! A kind that is not known, or a later version, is an error and never a guess: a newer harbor wrote it.

use harbor_model::ids::ContainerId;
use harbor_model::sandboxes::{Boot, Seen};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// The version written. One that adds kinds or fields that an older harbor must not overlook counts it up.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Encoded {
    version: u32,
    #[serde(flatten)]
    seen: EncodedSeen,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum EncodedSeen {
    Absent,
    Made {
        container: String,
    },
    Running {
        container: String,
        boot: String,
        configured: bool,
        connected: bool,
    },
    Frozen {
        container: String,
        boot: String,
        configured: bool,
        connected: bool,
        asked: bool,
    },
    Asleep {
        container: String,
        boot: String,
        connected: bool,
    },
    Exited {
        container: String,
        code: i64,
        asked: bool,
        connected: bool,
        #[serde(default, skip_serializing_if = "is_false")]
        to_sleep: bool,
    },
    Archived {
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        evicted: bool,
    },
    Lost,
    Removed,
}

// What rows mean that say nothing of it, as those of earlier versions.

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The column's text.
pub(crate) fn encode(seen: &Seen) -> Result<String, StoreError> {
    let text = |container: &ContainerId| container.as_str().to_owned();
    let seen = match seen {
        Seen::Absent => EncodedSeen::Absent,
        Seen::Made { container } => EncodedSeen::Made { container: text(container) },
        Seen::Running { container, boot: Boot(boot), configured, connected } => EncodedSeen::Running {
            container: text(container),
            boot: boot.clone(),
            configured: *configured,
            connected: *connected,
        },
        Seen::Frozen { container, boot: Boot(boot), configured, connected, asked } => EncodedSeen::Frozen {
            container: text(container),
            boot: boot.clone(),
            configured: *configured,
            connected: *connected,
            asked: *asked,
        },
        Seen::Asleep { container, boot: Boot(boot), connected } => {
            EncodedSeen::Asleep { container: text(container), boot: boot.clone(), connected: *connected }
        }
        Seen::Exited { container, code, asked, connected, to_sleep } => EncodedSeen::Exited {
            container: text(container),
            code: *code,
            asked: *asked,
            connected: *connected,
            to_sleep: *to_sleep,
        },
        Seen::Archived { evicted } => EncodedSeen::Archived { evicted: *evicted },
        Seen::Lost => EncodedSeen::Lost,
        Seen::Removed => EncodedSeen::Removed,
    };
    serde_json::to_string(&Encoded { version: VERSION, seen }).map_err(|_| StoreError::Unreadable("seen"))
}

/// What the column's text says.
pub(crate) fn decode(text: &str) -> Result<Seen, StoreError> {
    let encoded: Encoded = serde_json::from_str(text).map_err(|_| StoreError::Unreadable("seen"))?;
    if encoded.version != VERSION {
        return Err(StoreError::Unreadable("seen"));
    }
    Ok(match encoded.seen {
        EncodedSeen::Absent => Seen::Absent,
        EncodedSeen::Made { container } => Seen::Made { container: ContainerId::new(container) },
        EncodedSeen::Running { container, boot, configured, connected } => {
            Seen::Running { container: ContainerId::new(container), boot: Boot(boot), configured, connected }
        }
        EncodedSeen::Frozen { container, boot, configured, connected, asked } => {
            Seen::Frozen { container: ContainerId::new(container), boot: Boot(boot), configured, connected, asked }
        }
        EncodedSeen::Asleep { container, boot, connected } => {
            Seen::Asleep { container: ContainerId::new(container), boot: Boot(boot), connected }
        }
        EncodedSeen::Exited { container, code, asked, connected, to_sleep } => {
            Seen::Exited { container: ContainerId::new(container), code, asked, connected, to_sleep }
        }
        EncodedSeen::Archived { evicted } => Seen::Archived { evicted },
        EncodedSeen::Lost => Seen::Lost,
        EncodedSeen::Removed => Seen::Removed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, seen: Option<&Seen>) {
        assert_eq!(decode(text).ok().as_ref(), seen, "{text}");
    }

    #[test]
    fn texts_of_this_version_are_read_and_no_others() {
        let container = ContainerId::new("c");
        let exited = Seen::Exited { container, code: -1, asked: true, connected: false, to_sleep: false };
        let text = r#"{"version":1,"kind":"exited","container":"c","code":-1,"asked":true,"connected":false}"#;
        check(text, Some(&exited));
        assert_eq!(encode(&exited).unwrap(), text);
        check(r#"{"version":1,"kind":"lost"}"#, Some(&Seen::Lost));
        check(r#"{"version":1,"kind":"archived"}"#, Some(&Seen::Archived { evicted: true }));
        check(r#"{"version":2,"kind":"lost"}"#, None);
        check(r#"{"version":1,"kind":"melted"}"#, None);
        check(r#"{"version":1,"kind":"made"}"#, None);
        check("lost", None);
    }
}
