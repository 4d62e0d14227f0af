//! Trigon's control plane: objects are read from a source, become a plan, and
//! the plan becomes the contents of BPF maps.
//!
//! A folder is a layer, and uses only those above it in this list: see `layers.rs`.
mod changes;
mod hash;
mod os;

pub mod neigh;
pub mod protocols;

pub mod objects;
pub mod plan;

pub mod datapath;
pub mod health;

pub mod announce;

pub mod agent;
pub mod controller;

pub mod cli;

#[cfg(test)]
mod layers;
