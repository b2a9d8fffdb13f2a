//! Processes of the sandbox: starting, waiting, reaping, ending, and the shell that runs them.
//!
//! Every process of the toolbox is started through [`Processes`], because process 1 reaps whatever dies: a child that
//! somebody waits for by other means would lose its exit code.

mod budget;
pub(crate) mod command;
mod reaper;
mod shell;
mod tree;

pub(crate) use budget::{KeptOutput, OutputShare};
pub(crate) use reaper::{Child, Group, KILLED, Processes};
pub(crate) use shell::{Dialect, Prepared, Shell, quote};
pub(crate) use tree::{Tree, lives};
