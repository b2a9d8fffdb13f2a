//! Whether this installation can do its work.

/// Tells the truth about what a create needs. The binary joins it to runner and control.
#[async_trait::async_trait]
pub trait Readiness: Send + Sync {
    /// Every component that a create needs, for example the engine and the default snapshot; asked for at most five
    /// seconds.
    async fn check(&self) -> Vec<Component>;
}

/// One thing that a create needs.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name, for example `engine`.
    pub name: &'static str,
    /// `None`: it is there. Otherwise why not and what to do, for people; holds no secret.
    pub problem: Option<String>,
}
