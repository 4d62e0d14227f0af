//! Panics, so that one does not end more than it must.

use std::{any::Any, panic::AssertUnwindSafe};

use futures::FutureExt;

/// Runs a future to its end. A panic ends the future only, and is returned as its text. What the
/// future had borrowed may be half changed.
pub async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| panic_text(&*panic))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fail_with_text() {
        panic!("as it is written");
    }

    async fn fail_with_number(number: u8) {
        panic!("with the number {number}");
    }

    #[tokio::test]
    async fn a_panic_is_returned_as_its_text() {
        assert_eq!(catch_panic(async { 7 }).await, Ok(7));
        assert_eq!(catch_panic(fail_with_text()).await, Err("as it is written".to_owned()));
        assert_eq!(catch_panic(fail_with_number(7)).await, Err("with the number 7".to_owned()));
    }
}
