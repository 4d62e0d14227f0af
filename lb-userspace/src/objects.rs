//! From Kubernetes objects to the desired [`model::Cluster`].
//!
//! ```text
//! source (file) ──Files──> last_good ──Change──> index ──translate──> model::Cluster, Problems
//! ```

pub mod crds;
pub mod index;
pub mod last_good;
pub mod model;
pub mod source;
pub mod translate;
