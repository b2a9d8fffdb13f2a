//! The label of a sandbox container that tells which parts of volumes it has.

use std::collections::HashMap;

use harbor_model::ids::SandboxId;
use harbor_model::volumes::Mount;

use crate::docker::naming;
use crate::error::EngineError;

/// What a container's label says of these.
pub(crate) fn encoded(mounts: &[Mount]) -> String {
    let told =
        mounts.iter().map(|Mount { volume, path, subpath }| serde_json::json!([volume.to_string(), path, subpath]));
    serde_json::Value::from(told.collect::<Vec<_>>()).to_string()
}

/// The volumes of a container with these labels, if there is only a part of any.
pub(crate) fn of_labels(id: &SandboxId, labels: &HashMap<String, String>) -> Result<Vec<Mount>, EngineError> {
    let Some(told) = labels.get(naming::PARTS) else { return Ok(Vec::new()) };
    let read = || {
        let mounts: Vec<(String, String, Option<String>)> = serde_json::from_str(told).ok()?;
        let mount = |(volume, path, subpath): (String, String, Option<String>)| {
            Mount::checked(volume.parse().ok()?, &path, subpath.as_deref()).ok()
        };
        let mounts = mounts.into_iter().map(mount).collect::<Option<Vec<Mount>>>()?;
        Mount::fit(&mounts).is_ok().then_some(mounts)
    };
    let reason = || format!("the label {} of its container is none of harbor's", naming::PARTS);
    read().ok_or_else(|| EngineError::Astray { sandbox: *id, reason: reason() })
}

#[cfg(test)]
mod tests {
    use harbor_model::ids::VolumeId;

    use super::*;

    fn mount(path: &str, subpath: Option<&str>) -> Mount {
        Mount::checked(VolumeId::random(), path, subpath).unwrap()
    }

    #[test]
    fn a_label_says_all_and_another_one_is_an_error() {
        let (id, mounts) = (SandboxId::random(), vec![mount("/m", Some("a/b")), mount("/n", None)]);
        let labels = |text: String| HashMap::from([(naming::PARTS.to_owned(), text)]);
        assert_eq!(of_labels(&id, &labels(encoded(&mounts))).unwrap(), mounts);
        assert_eq!(of_labels(&id, &HashMap::new()).unwrap(), []);
        let volume = VolumeId::random();
        for wrong in [
            String::new(),
            "{}".to_owned(),
            "[[\"v\", \"/m\", null]]".to_owned(),
            format!("[[\"{volume}\", \"/m\", \"/etc\"]]"),
            format!("[[\"{volume}\", \"/m\", \"a/../../b\"]]"),
            format!("[[\"{volume}\", \"/etc\", \"a\"]]"),
        ] {
            of_labels(&id, &labels(wrong)).unwrap_err();
        }
    }
}
