//! Reading requests leniently where clients differ, and refusing with the field's name where they are wrong
//! (contract, control-plane §1).

mod allow_lists;
mod body;
mod date;
mod path;
mod query;
mod receive;
mod warnings;

pub(crate) use allow_lists::{domains, networks};
pub(crate) use body::{Body, whole, whole_number};
pub(crate) use date::date;
pub(crate) use path::Segments;
pub(crate) use query::Query;
pub(crate) use receive::{Bodies, Sender, Unread, receive};
pub(crate) use warnings::{Warnings, tell};
