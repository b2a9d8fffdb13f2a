//! What the loop and the connections agree on: the places of a connection in the poll set, and whether it goes on.

use rustix::event::PollFlags;

/// Places in the poll set per connection: its own socket and the one it dials or copies to.
pub(crate) const SLOTS: usize = 2;

/// What a poll saw in the places of one connection.
pub(crate) type Seen = [PollFlags; SLOTS];

/// What a connection sees that was not polled.
pub(crate) const NOTHING: Seen = [PollFlags::empty(); SLOTS];

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Keep it.
    Stay,
    /// Close it.
    Gone,
}
