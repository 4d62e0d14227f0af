//! The `file` source: Kubernetes objects as YAML or JSON files in a directory.

mod decode;
mod fields;
mod follow;
mod read;
mod suggest;
#[cfg(test)]
mod tests;
mod yaml;

pub use follow::follow_dir;
pub use read::{Reader, read_dir};
#[cfg(test)]
pub use read::{read_text, read_texts};
