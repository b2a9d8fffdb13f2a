//! How [`Files`] and [`Layer`] stand in their columns: JSON of its own, apart from the model, with a version.
//!
//! A later version is an error and never a guess: a newer harbor wrote it.

use harbor_model::layers::Layer;
use harbor_model::sandboxes::{Backup, Beginning, CopyPurpose, Copying, Files};
use serde::{Deserialize, Serialize};

use crate::{StoreError, row};

/// The version written. One that adds what an older harbor must not overlook counts it up.
const VERSION: u32 = 1;

const UNREADABLE: StoreError = StoreError::Unreadable("files");

#[derive(Serialize, Deserialize)]
struct EncodedFiles {
    version: u32,
    beginning: EncodedBeginning,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<EncodedBackup>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copying: Option<EncodedCopying>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EncodedBeginning {
    Image,
    Layer(EncodedLayer),
    Awaited,
    Unbuilt { begun: bool },
}

#[derive(Serialize, Deserialize)]
struct EncodedLayer {
    id: String,
    image: String,
    digest: String,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct EncodedBackup {
    layer: EncodedLayer,
    at: i64,
    current: bool,
    kept: bool,
}

#[derive(Serialize, Deserialize)]
struct EncodedCopying {
    layer: String,
    purpose: EncodedPurpose,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EncodedPurpose {
    Backup,
    Stopped,
    Archive,
    Fork(String),
    Snapshot(String),
}

/// The column's text; `None` for what a sandbox begins with that has nothing stored. The parent has a column of its own.
pub(crate) fn encode(files: &Files) -> Result<Option<String>, StoreError> {
    let Files { beginning, parent: _, backup, copying } = files;
    if *beginning == Beginning::Image && backup.is_none() && copying.is_none() {
        return Ok(None);
    }
    let encoded = EncodedFiles {
        version: VERSION,
        beginning: match beginning {
            Beginning::Image => EncodedBeginning::Image,
            Beginning::Layer(layer) => EncodedBeginning::Layer(EncodedLayer::of(layer)),
            Beginning::Awaited => EncodedBeginning::Awaited,
            Beginning::Unbuilt { begun } => EncodedBeginning::Unbuilt { begun: *begun },
        },
        backup: backup.as_ref().map(|Backup { layer, at, current, kept }| EncodedBackup {
            layer: EncodedLayer::of(layer),
            at: row::milliseconds(*at),
            current: *current,
            kept: *kept,
        }),
        copying: copying.as_ref().map(|Copying { layer, purpose, outcome: _ }| EncodedCopying {
            layer: layer.to_string(),
            purpose: match purpose {
                CopyPurpose::Backup => EncodedPurpose::Backup,
                CopyPurpose::Stopped => EncodedPurpose::Stopped,
                CopyPurpose::Archive => EncodedPurpose::Archive,
                CopyPurpose::Fork(sandbox) => EncodedPurpose::Fork(sandbox.to_string()),
                CopyPurpose::Snapshot(snapshot) => EncodedPurpose::Snapshot(snapshot.to_string()),
            },
        }),
    };
    serde_json::to_string(&encoded).map(Some).map_err(|_| UNREADABLE)
}

/// What the column's text says; the parent is left out.
pub(crate) fn decode(text: Option<&str>) -> Result<Files, StoreError> {
    let Some(text) = text else { return Ok(Files::default()) };
    let encoded: EncodedFiles = serde_json::from_str(text).map_err(|_| UNREADABLE)?;
    if encoded.version != VERSION {
        return Err(UNREADABLE);
    }
    Ok(Files {
        beginning: match encoded.beginning {
            EncodedBeginning::Image => Beginning::Image,
            EncodedBeginning::Layer(layer) => Beginning::Layer(layer.read()?),
            EncodedBeginning::Awaited => Beginning::Awaited,
            EncodedBeginning::Unbuilt { begun } => Beginning::Unbuilt { begun },
        },
        parent: None,
        backup: match encoded.backup {
            None => None,
            Some(EncodedBackup { layer, at, current, kept }) => {
                Some(Backup { layer: layer.read()?, at: row::timestamp(at)?, current, kept })
            }
        },
        copying: match encoded.copying {
            None => None,
            Some(EncodedCopying { layer, purpose }) => Some(Copying {
                layer: id(&layer)?,
                purpose: match purpose {
                    EncodedPurpose::Backup => CopyPurpose::Backup,
                    EncodedPurpose::Stopped => CopyPurpose::Stopped,
                    EncodedPurpose::Archive => CopyPurpose::Archive,
                    EncodedPurpose::Fork(sandbox) => CopyPurpose::Fork(id(&sandbox)?),
                    EncodedPurpose::Snapshot(snapshot) => CopyPurpose::Snapshot(id(&snapshot)?),
                },
                outcome: None,
            }),
        },
    })
}

/// The text of a column that holds a layer alone.
pub(crate) fn encode_layer(layer: &Layer) -> Result<String, StoreError> {
    serde_json::to_string(&EncodedLayer::of(layer)).map_err(|_| UNREADABLE)
}

/// What such a text says.
pub(crate) fn decode_layer(text: &str) -> Result<Layer, StoreError> {
    serde_json::from_str::<EncodedLayer>(text).map_err(|_| UNREADABLE)?.read()
}

impl EncodedLayer {
    fn of(layer: &Layer) -> Self {
        let Layer { id, image, digest, bytes } = layer;
        Self { id: id.to_string(), image: image.clone(), digest: digest.clone(), bytes: *bytes }
    }

    fn read(self) -> Result<Layer, StoreError> {
        Ok(Layer { id: id(&self.id)?, image: self.image, digest: self.digest, bytes: self.bytes })
    }
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| UNREADABLE)
}

#[cfg(test)]
mod tests {
    use harbor_model::ids::{LayerId, SandboxId, SnapshotId};

    use super::*;

    #[track_caller]
    fn check(files: &Files) {
        assert_eq!(decode(encode(files).unwrap().as_deref()).unwrap(), *files);
    }

    #[test]
    fn what_was_written_is_read() {
        let layer =
            || Layer { id: LayerId::random(), image: "sha256:a".to_owned(), digest: "d".to_owned(), bytes: 1 << 40 };
        let at = row::timestamp(1_700_000_000_123).unwrap();
        check(&Files::default());
        for beginning in [Beginning::Awaited, Beginning::Unbuilt { begun: false }, Beginning::Unbuilt { begun: true }] {
            check(&Files { beginning, ..Files::default() });
        }
        check(&Files {
            beginning: Beginning::Layer(layer()),
            backup: Some(Backup { layer: layer(), at, current: true, kept: false }),
            ..Files::default()
        });
        for purpose in [
            CopyPurpose::Backup,
            CopyPurpose::Stopped,
            CopyPurpose::Archive,
            CopyPurpose::Fork(SandboxId::random()),
            CopyPurpose::Snapshot(SnapshotId::random()),
        ] {
            let copying = Some(Copying { layer: LayerId::random(), purpose, outcome: None });
            check(&Files { copying, ..Files::default() });
        }
    }

    #[test]
    fn other_versions_and_other_texts_are_refused() {
        assert!(decode(Some(r#"{"version":1,"beginning":"image"}"#)).is_ok());
        for text in [r#"{"version":2,"beginning":"image"}"#, r#"{"version":1,"beginning":"sand"}"#, "{}", ""] {
            assert!(decode(Some(text)).is_err(), "{text}");
        }
    }
}
