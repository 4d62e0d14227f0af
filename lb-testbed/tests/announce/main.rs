//! Announcements, tested against BIRD and FRR as Debian packages them. Each
//! feature has a directory with the routers' configuration and the objects
//! beside the test.

mod attributes;
mod bad_input;
mod bad_routers;
mod bfd;
mod choice;
#[path = "../common/mod.rs"]
mod common;
mod endpoints;
mod families;
mod graceful_restart;
mod l2;
mod lab;
mod live;
mod moments;
mod pair;
mod parameters;
mod refresh;
mod scale;
mod security;
mod sessions;
mod shutdown;
mod triangle;
mod wire;
