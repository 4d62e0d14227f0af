//! A real Kubernetes API server, with etcd, in a namespace of a testbed.

mod api_server;
mod objects;
mod programs;

pub use api_server::ApiServer;
pub use programs::{Programs, built_program, find_go, module_dir};
