//! A guard that sets a stop event when it is dropped.

use super::cause::StopReason;
use super::event::StopEvent;
use std::panic::Location;

/// Sets a stop event when it is dropped; made by [`StopEvent::set_on_drop`].
///
/// ```
/// use stoppable::{StopEvent, StopReason};
///
/// let stop = StopEvent::new();
/// {
///     let _guard = stop.set_on_drop();
///     // Whatever leaves this block, a `?` or a panic too, stops the work.
/// }
/// assert_eq!(stop.reason(), Some(StopReason::Dropped));
/// ```
#[derive(Debug)]
#[must_use = "a guard that is dropped at once sets its event at once"]
pub struct StopOnDrop {
    event: Option<StopEvent>,
    location: &'static Location<'static>,
}

impl StopOnDrop {
    #[track_caller]
    pub(crate) fn new(event: StopEvent) -> Self {
        StopOnDrop {
            event: Some(event),
            location: Location::caller(),
        }
    }

    /// Lets the event be: dropping the guard no longer sets it. Gives the event back.
    pub fn disarm(mut self) -> StopEvent {
        self.event.take().unwrap_or_default()
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            event.set_from(StopReason::Dropped, self.location);
        }
    }
}
