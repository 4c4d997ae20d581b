//! An event that Ctrl-C sets. (Feature `ctrlc`.)
//!
//! ```no_run
//! use stoppable::interop::ctrlc::ctrl_c;
//! use stoppable::{Shutdown, ThreadPool};
//!
//! let interrupted = ctrl_c()?;
//! let pool = ThreadPool::builder().stop_with(&interrupted, Shutdown::StopAll).build()?;
//! let task = pool.submit(|stop| stop.wait());
//! // Ends when Ctrl-C is pressed.
//! task.wait();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{StopEvent, StopReason};
use std::process;

/// What the second Ctrl-C does.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum SecondPress {
    /// Ends the process at once, with the status 130: for people whom the clean end takes too long. No
    /// destructor runs, and nothing is waited for.
    #[default]
    Exit,
    /// Sets another event: for a second, harsher stop. The third press ends the process.
    Set(StopEvent),
    /// Nothing, nor do later ones.
    Ignore,
}

/// An event that the first Ctrl-C sets. The second ends the process; [`ctrl_c_then`] has other choices.
///
/// See there for the errors, and for what else there is to know.
///
/// # Errors
///
/// As [`ctrl_c_then`].
pub fn ctrl_c() -> Result<StopEvent, ::ctrlc::Error> {
    ctrl_c_then(SecondPress::Exit)
}

/// An event that the first Ctrl-C sets, with [`StopReason::Custom`] and the word "interrupted", and a choice of what the
/// second does.
///
/// Once per process: the handler can neither be replaced nor taken off, and the event lives as long as the process. Call it in
/// `main`, and give clones or children of the event to others. From then on Ctrl-C ends the process no more: whoever is
/// to stop has to look at the event.
///
/// The `ctrlc` crate starts a thread for it, on which the event's callbacks run: a press that comes while one does waits for
/// it. Presses that come faster than that thread takes them may count as one. With the feature
/// `termination` of the crate `ctrlc`, SIGTERM and SIGHUP count as Ctrl-C.
///
/// # Errors
///
/// If there is a handler by way of the `ctrlc` crate already, from here or elsewhere, or the operating system refuses.
///
/// ```no_run
/// use stoppable::interop::ctrlc::{SecondPress, ctrl_c_then};
/// use stoppable::{Shutdown, StopEvent, ThreadPool};
///
/// // The first press lets the running tasks end; the second stops them, too.
/// let now = StopEvent::new();
/// let pool = ThreadPool::builder().stop_with(&now, Shutdown::StopAll).build()?;
/// let interrupted = ctrl_c_then(SecondPress::Set(now))?;
/// interrupted.wait();
/// println!("{}", pool.shutdown(Shutdown::CancelPending));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ctrl_c_then(second: SecondPress) -> Result<StopEvent, ::ctrlc::Error> {
    let event = StopEvent::new();
    let first = event.clone();
    let mut presses = 0_u64;
    ::ctrlc::set_handler(move || {
        presses = presses.saturating_add(1);
        let reason = || StopReason::custom("interrupted");
        match (presses, &second) {
            (1, _) => {
                first.set_with(reason());
            }
            (2, SecondPress::Set(event)) => {
                event.set_with(reason());
            }
            (_, SecondPress::Ignore) => {}
            (_, SecondPress::Exit | SecondPress::Set(_)) => process::exit(INTERRUPTED),
        }
    })?;
    Ok(event)
}

/// The status of a process that SIGINT ended, as a shell shows it.
const INTERRUPTED: i32 = 130;
