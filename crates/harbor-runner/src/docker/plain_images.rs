//! Images again, without volumes of their own.
//!
//! An image may declare directories (`VOLUME`) that the engine keeps in a volume beside a container's files, where no copy
//! of them finds it; and one over harbor's own programs would hide them. Nothing that a container is made with takes that
//! back, so the image is had again: the engine writes it out, its configuration is changed, and the engine reads it in,
//! whose layers it has already.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use harbor_model::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::docker::handle::DockerEngine;
use crate::docker::naming;
use crate::error::EngineError;
use crate::image::{Context, Image};

/// Entries of an image's archive that say what is in it; all others are layers, or of no use.
const INDEXES: [&str; 4] = ["manifest.json", "repositories", "index.json", "oci-layout"];

/// The most bytes of an index or a configuration.
const LARGEST: u64 = 16 << 20;

/// How much of an archive is read at once.
const STEP: usize = 256 << 10;

impl DockerEngine {
    /// This image without volumes of its own: the same one if it has none. Idempotent. Takes as long as to write the image
    /// to harbor's disk and read it again.
    pub async fn without_volumes(&self, image: &Image) -> Result<Image, EngineError> {
        if image.volumes.is_empty() {
            return Ok(image.clone());
        }
        let name = plain_name(image);
        if let Some(found) = self.image(&name).await?.filter(|found| found.volumes.is_empty()) {
            return Ok(found);
        }
        let failed =
            |source| EngineError::Files { doing: format!("have image {} without its volumes", image.id), source };
        let directory = self.config().layer_directory.clone();
        let file = spawn(move || tempfile::tempfile_in(directory)).await.map_err(failed)?;
        let mut file = tokio::fs::File::from_std(file);
        self.client().export_image(&image.id, &mut file).await?;
        let mut file = file.into_std().await;
        let (label, called) = ((naming::BUILT_BY, self.instance().to_string()), name.clone());
        let (file, rewritten) = spawn(move || {
            let rewritten = rewrite(&mut file, &called, (label.0, &label.1))?;
            Ok((file, rewritten))
        })
        .await
        .map_err(failed)?;
        self.client().load_image(&name, rewritten.archive(file)).await?;
        self.present_image(&name).await
    }
}

/// What the image is called that has no volumes: a name that harbor alone gives, and takes away.
fn plain_name(image: &Image) -> String {
    let digest: String = image.id.chars().filter(char::is_ascii_hexdigit).rev().take(64).collect();
    format!("daytona-{:0>64}:daytona", digest.chars().rev().collect::<String>())
}

async fn spawn<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// An archive of which parts stay as they are.
struct Rewritten {
    kept: Vec<Range<u64>>,
    /// What comes behind them.
    end: Vec<u8>,
}

impl Rewritten {
    /// The whole archive, in pieces.
    fn archive(self, file: File) -> Context {
        let Self { kept, end } = self;
        let file = tokio::fs::File::from_std(file);
        let pieces = stream::try_unfold((file, kept.into_iter(), 0..0), |(mut file, mut kept, mut part)| async move {
            if Range::is_empty(&part) {
                let Some(next) = kept.next() else { return Ok::<_, io::Error>(None) };
                part = next;
                file.seek(SeekFrom::Start(part.start)).await?;
            }
            let length = usize::try_from(part.end - part.start).unwrap_or(STEP).min(STEP);
            let mut piece = vec![0; length];
            file.read_exact(&mut piece).await?;
            part.start += length as u64;
            Ok(Some((Bytes::from(piece), (file, kept, part))))
        });
        Box::pin(pieces.chain(stream::iter([Ok(Bytes::from(end))])))
    }
}

/// The archive of an image, in the form that every engine writes, as one of the image called `name`, which has the label and
/// no volumes.
fn rewrite(file: &mut File, name: &str, label: (&str, &str)) -> io::Result<Rewritten> {
    file.rewind()?;
    let mut archive = tar::Archive::new(&*file);
    let (mut entries, mut manifest) = (Vec::new(), None);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let content = entry.raw_file_position()..entry.raw_file_position() + entry.size();
        if path == "manifest.json" {
            let mut text = Vec::new();
            (&mut entry).take(LARGEST).read_to_end(&mut text)?;
            manifest = Some(serde_json::from_slice::<Value>(&text)?);
        }
        entries.push((path, entry.raw_header_position()..content.end.next_multiple_of(512), content));
    }
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "the engine's archive of the image has an unknown form");
    let manifest = manifest.and_then(|manifest| manifest.get(0).cloned()).ok_or_else(odd)?;
    let old = manifest["Config"].as_str().ok_or_else(odd)?.to_owned();
    let (_, _, content) = entries.iter().find(|(path, _, _)| *path == old).ok_or_else(odd)?;
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(content.start))?;
    (&*file).take((content.end - content.start).min(LARGEST)).read_to_end(&mut text)?;
    let configuration = changed(serde_json::from_slice(&text)?, label).ok_or_else(odd)?.to_string().into_bytes();

    let new = format!("{}.json", hex(&Sha256::digest(&configuration)));
    let manifest = json!([{ "Config": new, "RepoTags": [name], "Layers": manifest["Layers"] }]).to_string();
    let mut end = tar::Builder::new(Vec::new());
    for (path, content) in [(new.as_str(), &*configuration), ("manifest.json", manifest.as_bytes())] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        end.append_data(&mut header, path, content)?;
    }
    let kept = entries.into_iter().filter(|(path, _, _)| *path != old && !INDEXES.contains(&path.as_str()));
    Ok(Rewritten { kept: kept.map(|(_, whole, _)| whole).collect(), end: end.into_inner()? })
}

/// An image's configuration without volumes, with this label; `None`: it is none.
fn changed(mut configuration: Value, (name, value): (&str, &str)) -> Option<Value> {
    for part in ["config", "container_config"] {
        if let Some(part) = configuration.get_mut(part).and_then(Value::as_object_mut) {
            part.remove("Volumes");
        }
    }
    let config = configuration.get_mut("config")?.as_object_mut()?;
    let labels = config.entry("Labels").or_insert(Value::Null);
    if labels.is_null() {
        *labels = json!({});
    }
    labels.as_object_mut()?.insert(name.to_owned(), value.into());
    Some(configuration)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::TryStreamExt as _;

    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> File {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, *content).unwrap();
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&archive.into_inner().unwrap()).unwrap();
        file
    }

    async fn rewritten(mut file: File) -> Vec<(String, Vec<u8>)> {
        let rewritten = rewrite(&mut file, "plain:1", ("by", "me")).unwrap();
        let bytes: Vec<Bytes> = rewritten.archive(file).try_collect().await.unwrap();
        let bytes = bytes.concat();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        entries.collect()
    }

    #[tokio::test]
    async fn volumes_go_and_layers_stay_whatever_the_form() {
        let configuration = br#"{"config": {"User": "x", "Volumes": {"/data": {}}, "Labels": null}, "rootfs": {}}"#;
        let layer: Vec<u8> = (0..700_001_u32).map(|number| number.to_le_bytes()[0]).collect();
        for (config, of_layer) in [("0a.json", "0b/layer.tar"), ("blobs/sha256/0a", "blobs/sha256/0b")] {
            let manifest = format!(r#"[{{"Config": "{config}", "RepoTags": null, "Layers": ["{of_layer}"]}}]"#);
            let found = rewritten(archive(&[
                (config, configuration),
                (of_layer, &layer),
                ("oci-layout", b"{}"),
                ("manifest.json", manifest.as_bytes()),
                ("index.json", b"{}"),
            ]))
            .await;
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!((names.len(), names[0], names[2]), (3, of_layer, "manifest.json"));
            assert!(found[0].1 == layer, "a layer is another one");
            let manifest: Value = serde_json::from_slice(&found[2].1).unwrap();
            assert_eq!(manifest, json!([{"Config": names[1], "RepoTags": ["plain:1"], "Layers": [of_layer]}]));
            let changed: Value = serde_json::from_slice(&found[1].1).unwrap();
            assert_eq!(changed, json!({"config": {"User": "x", "Labels": {"by": "me"}}, "rootfs": {}}));
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for entries in [&[][..], &[("manifest.json", &b"[]"[..])], &[("manifest.json", br#"[{"Config": "none"}]"#)]] {
            assert!(rewrite(&mut archive(entries), "plain:1", ("by", "me")).is_err());
        }
    }
}
