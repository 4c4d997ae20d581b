//! Scopes: tasks that borrow, end together, and never leave a stop looking like a full result.

mod borrow;
mod bounded;
mod circles;
mod drops;
#[cfg(feature = "testing")]
mod every_poll;
mod group;
mod group_inside;
mod nesting;
mod panics;
mod quicksort;
mod race;
mod shutdown;
mod shutdown_inside;
mod stop;
mod surrounding;
mod try_scope;
mod unwind;
mod walk;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The payload with which the code panics.
#[track_caller]
fn panic_of<R>(code: impl FnOnce() -> R) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(_) => panic!("it did not panic"),
        Err(payload) => payload,
    }
}

/// The text with which the code panics.
#[track_caller]
fn text_of<R>(code: impl FnOnce() -> R) -> &'static str {
    let payload = panic_of(code);
    payload.downcast_ref::<&'static str>().expect("a text")
}
