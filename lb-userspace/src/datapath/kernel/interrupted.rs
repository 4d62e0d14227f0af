//! Loading of programs takes a while, in which a signal may come.

use std::{error::Error, thread, time::Duration};

use super::attach::errno_of;

/// What is waited before it is tried again: a quarter of a second in all. libbpf tries five times at once
/// (`PROG_LOAD_ATTEMPTS`), which was seen to be too few.
const PAUSES_MS: [u64; 9] = [0, 1, 2, 4, 8, 16, 32, 64, 128];

/// Loads a program. The verifier gives up when a signal is pending (`EAGAIN`); then it is asked again.
pub fn load_program<E: Error + 'static>(mut load: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    for pause in PAUSES_MS {
        match load() {
            Err(error) if errno_of(&error) == Some(libc::EAGAIN) => {}
            result => return result,
        }
        thread::sleep(Duration::from_millis(pause));
    }
    load()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Fails with these errors, one after the other. Returns how many were left, and whether it went well.
    fn load_with(errors: &[i32]) -> (usize, bool) {
        let mut errors = errors.iter();
        let result = load_program(|| match errors.next() {
            Some(errno) => Err(io::Error::from_raw_os_error(*errno)),
            None => Ok(()),
        });
        (errors.len(), result.is_ok())
    }

    #[test]
    fn only_who_was_interrupted_tries_again_and_not_for_ever() {
        assert_eq!(load_with(&[libc::EAGAIN; 9]), (0, true));
        assert_eq!(load_with(&[libc::EAGAIN; 14]), (4, false));
        assert_eq!(load_with(&[libc::EAGAIN, libc::EPERM, libc::EAGAIN]), (1, false));
    }
}
