//! The `file` source: Kubernetes objects as YAML or JSON files in a directory.
//!
//! ```text
//! follow ──names of files──> read ──yaml, document──> FileContents ──> store ──> Update
//! ```

mod contents;
mod document;
mod follow;
mod listing;
mod read;
mod store;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod yaml;

pub use follow::{Directory, follow_dir};
#[cfg(test)]
pub use listing::read_text;
pub use listing::{Listing, read_dir};
pub use read::Look;
