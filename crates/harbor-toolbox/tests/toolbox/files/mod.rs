//! The file routes (contract, toolbox §11).

mod browse;
mod change;
mod download;
mod upload;
