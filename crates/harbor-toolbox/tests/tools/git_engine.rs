//! Which git the toolbox drives: every case is told for both.

use crate::client::Toolbox;

/// The git of a case. The test itself always uses the machine's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The image's own.
    Image,
    /// The one delivered beside the toolbox, in an image that has none.
    BuiltIn,
}

impl Engine {
    /// A toolbox that drives this git.
    pub(crate) fn toolbox(self) -> Toolbox {
        Toolbox::with_path(&self.path(None))
    }

    /// A PATH that leads to this git and, before it, to what lies in one more directory.
    pub(crate) fn path(self, more: Option<&str>) -> String {
        let machine = std::env::var("PATH").unwrap();
        let own = if self == Self::Image { &machine } else { "/nowhere" };
        more.map_or_else(|| own.to_owned(), |more| format!("{more}:{own}"))
    }
}

/// Makes two tests of each case.
macro_rules! with_both {
    ($($case:ident,)*) => {
        mod image {
            $(#[test] fn $case() { super::$case(crate::git_engine::Engine::Image); })*
        }
        mod built_in {
            $(#[test] fn $case() { super::$case(crate::git_engine::Engine::BuiltIn); })*
        }
    };
}
