//! Changes of headers, with their checksums (RFC 1624).

pub mod congestion;
pub mod destination;
pub mod echo;
pub mod hop;
pub mod macs;
pub mod outer;
pub mod quote;
pub mod too_big;

#[cfg(test)]
mod tests;
