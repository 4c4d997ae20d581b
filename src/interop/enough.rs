//! Stop events for libraries that take an [`enough::Stop`]: image codecs, above all. (Feature `enough`.)
//!
//! A [`StopEvent`] is a `Stop`. Given to such a library, by reference or as a clone, it ends the library's work at its next
//! check:
//!
//! ```
//! use enough::{Stop, StopReason};
//! use stoppable::{CancelOutcome, ThreadPool};
//!
//! // As such libraries are written.
//! fn decode(rows: u64, stop: impl Stop) -> Result<u64, StopReason> {
//!     let mut sum = 0;
//!     for row in 0..rows {
//!         stop.check()?;
//!         sum += row;
//!     }
//!     Ok(sum)
//! }
//!
//! let pool = ThreadPool::new(1);
//! let image = pool.submit(|stop| decode(u64::MAX, stop));
//! image.wait_started();
//! assert_eq!(image.cancel(), CancelOutcome::Requested);
//! assert!(image.join().unwrap_err().is_cancelled());
//! ```
//!
//! A check is a poll, so the task to which the event was given has seen its stop when a check has found it. It costs what
//! a poll costs, and a virtual call behind `&dyn Stop`. [`StopEvent::never`] says that it [may not
//! stop](::enough::Stop::may_stop), so a library that asks leaves its checks out.
//!
//! # Reasons
//!
//! `enough` knows two: a [deadline](StopReason::Deadline) is `TimedOut`, everything else is `Cancelled`. The cause stays with the
//! event. The other way round, `TimedOut` becomes a deadline and the rest [`StopReason::Requested`]. Our [`Stopped`], too, becomes a
//! reason of theirs, for `?` in functions that return one.
//!
//! # The other way round
//!
//! Somebody else's `Stop` can only be asked, and tells nobody when it stops. So no event can be under one: nothing would wake
//! those who wait. Ask it where the work is done, and hand the news on:
//!
//! ```
//! use enough::Stop;
//! use stoppable::{StopEvent, StopReason};
//!
//! fn work(theirs: &dyn Stop, stop: &StopEvent) {
//!     while !stop.is_set() {
//!         if let Err(reason) = theirs.check() {
//!             stop.set_with(reason.into());
//!         }
//!     }
//! }
//!
//! let (theirs, ours) = (StopEvent::new(), StopEvent::new());
//! theirs.set_with(StopReason::Deadline);
//! work(&theirs, &ours);
//! assert_eq!(ours.reason(), Some(StopReason::Deadline));
//! ```
//!
//! The types are those of `enough` 0.4, which is before its 1.0; another version of it may come with another minor version of
//! this crate.

use crate::{StopEvent, StopReason, Stopped};
use ::enough::Stop;

/// A check is a [poll](StopEvent::is_set), and counts as one.
impl Stop for StopEvent {
    #[inline]
    fn check(&self) -> Result<(), ::enough::StopReason> {
        // Theirs by its own name: what is called here is the event's.
        StopEvent::check(self).map_err(::enough::StopReason::from)
    }

    #[inline]
    fn should_stop(&self) -> bool {
        self.is_set()
    }

    /// False for [`StopEvent::never`] alone.
    #[inline]
    fn may_stop(&self) -> bool {
        self.can_be_set()
    }
}

/// `TimedOut` for a deadline, else `Cancelled`.
impl From<Stopped> for ::enough::StopReason {
    fn from(stopped: Stopped) -> Self {
        match stopped.reason() {
            StopReason::Deadline => ::enough::StopReason::TimedOut,
            _ => ::enough::StopReason::Cancelled,
        }
    }
}

/// A deadline for `TimedOut`, else [`StopReason::Requested`].
impl From<::enough::StopReason> for StopReason {
    fn from(reason: ::enough::StopReason) -> Self {
        match reason {
            ::enough::StopReason::TimedOut => StopReason::Deadline,
            _ => StopReason::Requested,
        }
    }
}
