//! Trigon's control plane: objects come in by a source, become a plan, and
//! the plan becomes the contents of BPF maps.
pub mod model;
