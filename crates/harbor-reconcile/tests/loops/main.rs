//! The reconciler's loops on the pretend engine, with control in front of them: no Docker, and a clock that stands
//! still but for the tests.
#![expect(clippy::unwrap_used, reason = "tests")]

mod copies;
mod fairness;
mod foreign;
mod images;
mod installation;
mod links;
mod pauses;
mod pools;
mod resizes;
mod sequences;
mod sleeps;
mod starts;
mod stock;
mod timers;
mod uploads;
mod volumes;
