//! Changes of headers, with their checksums (RFC 1624).

mod address;
pub mod congestion;
pub mod destination;
pub mod echo;
pub mod hop;
pub mod macs;
pub mod outer;
pub mod quote;
pub mod source;
pub mod too_big;

#[cfg(test)]
mod tests;
