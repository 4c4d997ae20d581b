//! Leaving a task from deep code that cannot return a `Result`.

#[cfg(panic = "unwind")]
use super::context;
use std::any::Any;

/// What `unwind_if_stopped` unwinds with.
pub(crate) struct StopUnwind;

/// Whether that is what `unwind_if_stopped` unwinds with.
pub(crate) fn is_stop_unwind(payload: &(dyn Any + Send)) -> bool {
    payload.is::<StopUnwind>()
}

/// Ends the current task, from however deep inside, if its stop event is set.
///
/// It unwinds, without calling the panic hook, to the pool, which records the task as *Cancelled*
/// with no partial result. It does nothing while the event is unset, outside of a task, and while
/// the thread is panicking already, so that it may be called in a `drop`. A poll of it costs a look
/// at the thread's local state and the poll of the event.
///
/// The unwinding runs destructors like a panic's does, with the same consequences: a standard mutex
/// whose guard is alive is poisoned; `catch_unwind` in between catches it and the task goes on;
/// through an `extern "C"` function it aborts the process; a closure that rayon runs on its own
/// threads is not inside the task, so there it does nothing, unless rayon runs it on top of a task that
/// was submitted to rayon (`stoppable::interop::rayon`). It exists only under `panic = "unwind"`.
///
/// ```
/// use stoppable::{Outcome, ThreadPool};
///
/// fn search(depth: u32) -> u32 {
///     stoppable::unwind_if_stopped();
///     if depth == 0 { 1 } else { search(depth - 1) + search(depth - 1) }
/// }
///
/// let pool = ThreadPool::builder().threads(1).build()?;
/// let leaves = pool.submit(|_stop| search(1_000));
/// leaves.wait_started();
/// leaves.cancel();
/// assert!(matches!(leaves.outcome(), Outcome::Cancelled { partial: None, .. }));
/// # Ok::<(), stoppable::BuildError>(())
/// ```
#[cfg(panic = "unwind")]
pub fn unwind_if_stopped() {
    if std::thread::panicking() {
        return;
    }
    if context::with_current(crate::StopEvent::is_set) == Some(true) {
        std::panic::resume_unwind(Box::new(StopUnwind));
    }
}
