//! Sandboxes that share a private network (contract, control-plane §5.10).

use super::{Sandbox, SandboxState};

/// The longest label of a host name (RFC 1035).
const LONGEST_LABEL: usize = 63;

impl Sandbox {
    /// Why nothing can be linked to it; `None`: it can be.
    pub fn unlinkable(&self) -> Option<String> {
        let id = self.id;
        if let Some(other) = self.linked {
            return Some(format!("Sandbox {id} is itself linked to {other}: links are not chained, link to {other}"));
        }
        match self.state() {
            SandboxState::Started | SandboxState::Stopped => None,
            state => Some(format!("Sandbox {id} is {}: only to a started or stopped one can be linked", state.word())),
        }
    }

    /// The host names by which others in its private network find it: its id, and its name if that can be one.
    pub fn host_names(&self) -> Vec<String> {
        let name = self.name.as_str();
        let label = |label: &str| {
            let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=LONGEST_LABEL).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(inside)
        };
        let id = self.id.to_string();
        let name = (name != id && name.split('.').all(label)).then(|| name.to_owned());
        std::iter::once(id).chain(name).collect()
    }
}
