//! Who a change is made by.

use crate::ids::UserId;
use crate::names::DisplayName;

/// Who makes a change; recorded with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, by one of its API keys.
    Key {
        /// The user.
        user: UserId,
        /// The key's name, which is unique per user and organization.
        key: DisplayName,
    },
    /// A user for whom harbor's administrator acts.
    User(UserId),
    /// harbor itself: its reconciler, its start, its clean-up.
    Harbor,
}
