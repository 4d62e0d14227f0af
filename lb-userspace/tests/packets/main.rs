//! Packet tables through `BPF_PROG_TEST_RUN`: a packet in, and exactly what
//! comes out of it, byte for byte, with the verdict that was counted. Needs
//! root, and the object of `cargo xtask build-ebpf`.
//!
//! A table is a module with a function `cases`; `case` runs them. Stories, in
//! which one packet depends on those before it, are tests of their own.

#![allow(clippy::unwrap_used)]

mod bystanders;
mod case;
mod checks;
mod coverage;
mod cut;
mod director;
mod drop_reports;
mod dry_run;
mod egress;
mod egress_inside;
mod egress_mss;
mod egress_past_vip;
mod expect;
mod fragments;
mod fuzz;
mod gather;
mod golden;
mod groups;
mod headers;
mod hostile;
mod icmp;
mod kube_proxy;
mod limit;
mod machine;
mod node;
mod owners;
mod packet;
mod random;
mod ranges;
mod services;
mod vlan;
mod world;
