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

    /// The same with `remotes/x.git`: branches `main` (so many commits) and `dev` (one more), and the tag `v1`. The
    /// commits of `main` are `m1`, `m2` and so on, and each writes its number to the file `a`.
    pub(crate) fn toolbox_with_remote(self, commits: u32) -> Toolbox {
        let toolbox = self.toolbox();
        toolbox.shell(&format!(
            "git config --global user.name T; git config --global user.email t@e
             git config --global init.defaultBranch main
             git init -q r; cd r
             for i in $(seq {commits}); do echo $i > a; git add a; git commit -qm m$i; done
             git tag v1; git checkout -qb dev; echo dev > d; git add d; git commit -qm dev; git checkout -q main
             mkdir ../remotes; git clone -q --bare . ../remotes/x.git
             git -C ../remotes/x.git config http.receivepack true",
        ));
        toolbox
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
