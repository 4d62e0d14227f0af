//! Where objects come from. Every source hands over the same Kubernetes
//! objects, so that the rest of the program does not depend on the source.

pub mod file;
mod files;
mod kind;
mod lines;
mod listing;
mod object;
mod rank;
mod secret;
mod watched;

pub use files::{FileContents, Files, LoadResult, join_files};
pub use kind::Kind;
pub use listing::{Change, Listing, Located, Origin, changes_between};
pub use object::{Object, ObjectRef};
pub use rank::Rank;
pub use secret::Secret;
pub use watched::Source;
