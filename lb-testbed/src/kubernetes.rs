//! A real Kubernetes API server, with etcd and, where they are wanted, controllers, in a namespace of a testbed.

mod api_server;
mod controllers;
mod objects;
mod pods;
mod programs;

pub use api_server::{ApiServer, Link};
pub use controllers::Controllers;
pub use pods::PodSpec;
pub(crate) use pods::pod_object;
pub use programs::{Programs, built_program, find_go, module_dir};
