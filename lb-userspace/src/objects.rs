//! From Kubernetes objects to the desired [`model::Cluster`].
//!
//! ```text
//! source (file) ──Update──> index ──translate──> model::Cluster, Problems
//! ```

pub mod crds;
pub mod index;
pub mod model;
pub mod source;
pub mod translate;
