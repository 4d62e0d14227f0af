//! Kubernetes objects to the model of the data path: pure functions.
//!
//! What is wrong is left out, in the smallest part that makes sense (a port,
//! an endpoint, else the object), and reported as a [`Problem`].
//!
//! [`Problem`]: crate::objects::model::Problem
mod annotations;
mod announce;
mod asked;
mod carrier;
mod health;
mod node;
mod nodes;
mod policy;
mod readiness;
mod service;
mod settings;
mod slice;
#[cfg(test)]
mod tests;
mod values;
mod wish;

pub use annotations::{ALLOW_SHARED_IP, DSR, LOAD_BALANCER_IPS, NODE_ADDRESS, field as annotation};
pub use announce::{AnnouncingObjects, announcing};
pub use asked::{asks_for_data_path, asks_the_same};
pub use carrier::reason_not_ours;
pub use node::{check_one_per_family, node};
pub use nodes::Nodes;
pub use service::{Claim, Context, TranslateConfig, Translated, service};
pub use values::{Complaint, family_name, parse_address};
pub use wish::sharing_terms;
