//! How long it takes from the stop until a blocked task goes on: one row for each of those of
//! `docs/blocked.md` that a stop reaches by way of this crate.
//!
//! Beside each row stands what a careful user would write by hand for that one kind of blocking, without
//! this crate: a flag and a `Condvar`, a channel more in the `select!`, a `shutdown` of the socket.
//! Both run on the same worker of the same pool, and in turn, round by round. Who stops is kept on one processor, who is
//! stopped on another: where the system puts two threads decides more than all that they do.
//!
//! A figure begins before `cancel()` (or what is done by hand in its place) and ends in the task, right behind the
//! call in which it was blocked.

mod channels;
#[cfg(unix)]
mod children;
mod loops;
#[cfg(unix)]
mod sockets;
mod stage;
mod waits;

pub use stage::Stage;
use std::time::Duration;

/// One row.
#[derive(Debug)]
pub struct Row {
    /// What it is called on the command line.
    pub key: &'static str,
    /// What the task is blocked in.
    pub title: &'static str,
    /// What is written by hand in place of it.
    pub by_hand: &'static str,
    /// One round where the others have so many.
    pub share: usize,
    /// Makes the two.
    pub sides: fn(Stage) -> Sides,
}

/// What is compared: each gives the time of one round.
pub struct Sides {
    /// With this crate.
    pub ours: Side,
    /// Without.
    pub by_hand: Side,
}

/// One way to do it.
pub type Side = Box<dyn FnMut() -> Duration>;

impl Sides {
    fn new(
        ours: impl FnMut() -> Duration + 'static,
        by_hand: impl FnMut() -> Duration + 'static,
    ) -> Sides {
        Sides {
            ours: Box::new(ours),
            by_hand: Box::new(by_hand),
        }
    }
}

/// All of them, in the order of `docs/blocked.md`.
pub fn rows() -> Vec<&'static Row> {
    #[cfg(unix)]
    let (sockets, children) = (sockets::ROWS, children::ROWS);
    #[cfg(not(unix))]
    let (sockets, children): (&[Row], &[Row]) = (&[], &[]);
    let rows = [loops::ROWS, waits::ROWS, channels::ROWS, sockets, children];
    rows.into_iter().flatten().collect()
}
