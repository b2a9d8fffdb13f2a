//! Where a container's writable layer lies on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::docker::handle::DockerEngine;
use crate::error::EngineError;

/// How long the engine may take to unmount a layer that it mounted for us.
const UNMOUNT: Duration = Duration::from_secs(10);

/// Where a layer lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this directory, which is ours to read and write.
    Ours(PathBuf),
    /// In this directory of the engine's machine, which is not.
    Engine(PathBuf),
}

impl DockerEngine {
    /// Where the writable layer of a container lies that is `running` or not, and in which nothing moves; `None` when the
    /// engine does not tell.
    pub(crate) async fn layer_place(&self, container: &str, running: bool) -> Result<Option<Place>, EngineError> {
        let found = self.client().inspect_container(container, &format!("inspect container {container}")).await?;
        let directory = match found.layer {
            Some(directory) => Some(PathBuf::from(directory)),
            None if running => upper_directory(&mount_table(), &found.id.unwrap_or_default()),
            None => self.mounted_layer(container, &found.id.unwrap_or_default()).await?,
        };
        let near = self.client().address().starts_with("unix://");
        let ours = |directory: &PathBuf| near && fs::read_dir(directory).is_ok();
        let place = |directory| if ours(&directory) { Place::Ours(directory) } else { Place::Engine(directory) };
        Ok(directory.map(place))
    }

    /// With containerd's image store only the mount table tells, while the container is mounted: reading from it makes
    /// the engine mount it.
    async fn mounted_layer(&self, container: &str, id: &str) -> Result<Option<PathBuf>, EngineError> {
        let read = self.client().open_read(container).await?;
        let table = mount_table();
        drop(read);
        let directory = upper_directory(&table, id);
        let started = Instant::now();
        // nobody may write to a layer that is mounted
        while directory.is_some() && upper_directory(&mount_table(), id).is_some() {
            if started.elapsed() > UNMOUNT {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(directory)
    }
}

fn mount_table() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// The `upperdir` of the overlay mounted at a directory named like this container.
fn upper_directory(table: &str, id: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let point = Path::new(mount.split(' ').nth(4)?);
        let mut fields = file_system.split(' ');
        let overlay = fields.next()? == "overlay" && point.components().any(|part| part.as_os_str() == id);
        let options = fields.nth(1).filter(|_| overlay)?;
        options.split(',').find_map(|option| option.strip_prefix("upperdir=")).map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_names_the_layer() {
        let table = "1 0 8:1 / / rw - ext4 /dev/root rw\n\
            9 1 0:50 / /var/lib/docker/rootfs/overlayfs/abc rw,relatime shared:7 - overlay overlay \
            rw,lowerdir=/s/1/fs:/s/2/fs,upperdir=/s/3/fs,workdir=/s/3/work\n";
        assert_eq!(upper_directory(table, "abc"), Some(PathBuf::from("/s/3/fs")));
        assert_eq!(upper_directory(table, "ab"), None);
    }
}
