//! What comes after a report that is not final.

use super::{ShutdownReport, Straggler};
use crate::sync::Arc;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A pool whose shutdown has begun.
pub(crate) trait Ending: Send + Sync {
    /// Waits for the last thread to end. Says whether it has.
    fn wait(&self, deadline: Option<Instant>) -> bool;

    /// Lets this one be woken, besides others, when the last thread has ended. Says whether it has.
    fn wake(&self, waker: &Waker) -> bool;

    fn report(&self) -> ShutdownReport;
}

/// The tasks that were left when a shutdown gave up waiting; made by
/// [`ShutdownReport::into_stragglers`]. They can be awaited later: by [`wait`](Self::wait), or as a future, on any
/// runtime. Both give the final report.
///
/// It keeps nothing alive but the pool's counts. The pool itself may be dropped, which waits for them too, or
/// [abandoned](crate::ThreadPool::abandon).
///
/// ```
/// use std::time::Duration;
/// use stoppable::{Shutdown, ThreadPool};
///
/// let pool = ThreadPool::new(1);
/// let slow = pool.submit(|_stop| std::thread::sleep(Duration::from_millis(50)));
/// slow.wait_started();
/// let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::from_millis(1));
/// pool.abandon();
/// assert!(!report.is_final());
/// let report = report.into_stragglers().wait();
/// assert_eq!((report.running(), report.completed()), (0, 1));
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Stragglers {
    report: Box<ShutdownReport>,
    ending: Option<Arc<dyn Ending>>,
}

impl Stragglers {
    pub(super) fn new(report: ShutdownReport, ending: Option<Arc<dyn Ending>>) -> Self {
        Stragglers {
            report: Box::new(report),
            ending,
        }
    }

    /// Those that were running when the report was made.
    pub fn tasks(&self) -> &[Straggler] {
        self.report.stragglers()
    }

    /// Blocks until every thread of the pool has ended, and gives the final report.
    ///
    /// On one of the pool's own threads that would never be.
    pub fn wait(self) -> ShutdownReport {
        match &self.ending {
            Some(ending) => {
                ending.wait(None);
                self.last()
            }
            None => *self.report,
        }
    }

    /// As [`wait`](Self::wait), at most for `timeout`.
    ///
    /// # Errors
    ///
    /// Itself, if there are threads that have not ended.
    pub fn wait_timeout(self, timeout: Duration) -> Result<ShutdownReport, Stragglers> {
        let deadline = Instant::now().checked_add(timeout);
        match &self.ending {
            Some(ending) if !ending.wait(deadline) => Err(self),
            _ => Ok(self.last()),
        }
    }

    fn last(&self) -> ShutdownReport {
        match &self.ending {
            Some(ending) => ending.report().with_steps(self.report.steps.clone()),
            None => ShutdownReport::clone(&self.report),
        }
    }
}

impl Future for Stragglers {
    type Output = ShutdownReport;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<ShutdownReport> {
        match &self.ending {
            Some(ending) if !ending.wake(context.waker()) => Poll::Pending,
            _ => Poll::Ready(self.last()),
        }
    }
}

impl fmt::Debug for Stragglers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stragglers").field(&self.tasks()).finish()
    }
}
