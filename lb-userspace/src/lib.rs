//! Trigon's control plane: objects come in by a source, become a plan, and
//! the plan becomes the contents of BPF maps.
pub mod agent;
pub mod alloc;
pub mod check;
pub mod cli;
pub mod cmd;
pub mod datapath;
pub mod diff;
pub mod index;
pub mod maglev;
pub mod model;
pub mod neigh;
pub mod plan;
pub mod report;
pub mod source;
pub mod state;
pub mod translate;
