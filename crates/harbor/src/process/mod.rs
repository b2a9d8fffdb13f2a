//! harbor as a process: started in the background, alone on its data directory, supervised, stopped in order.

pub(crate) mod announce;
pub(crate) mod background;
pub(crate) mod daemon;
pub(crate) mod http;
pub(crate) mod listen;
pub(crate) mod lock;
pub(crate) mod log_file;
pub(crate) mod logging;
pub(crate) mod port_holder;
pub(crate) mod presence;
pub(crate) mod progress;
pub(crate) mod readiness;
pub(crate) mod state;
pub(crate) mod supervisor;

pub(crate) use listen::listen;
pub(crate) use progress::Progress;
pub(crate) use state::Ready;
