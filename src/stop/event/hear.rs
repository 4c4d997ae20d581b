//! Hearing of a stop event: those who block until it is set, those who are called, and those who are woken. Anybody may
//! do so, at any time; who waits has seen the stop, and who is called has not.

use super::StopEvent;
use crate::stop::callback::StopCallback;
use crate::stop::cause::Stopped;
use crate::stop::future::StopFuture;
use crate::stop::wait;
use std::time::{Duration, Instant};

impl StopEvent {
    /// Blocks until the event is set. For [`never`](Self::never), that is for ever.
    pub fn wait(&self) {
        self.wait_deadline(None);
    }

    /// Blocks until the event is set, at most for `timeout`. Says whether it is set; false never
    /// comes early. A zero timeout is a poll; one too long for the clock is no limit.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_deadline(Instant::now().checked_add(timeout))
    }

    /// Blocks until the event is set, at most until `deadline`. Says whether it is set.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.wait_deadline(Some(deadline))
    }

    fn wait_deadline(&self, deadline: Option<Instant>) -> bool {
        let set = match &self.node {
            Some(node) => wait::until_set(node, deadline),
            None => wait::never(deadline),
        };
        if set {
            self.note();
        }
        set
    }

    /// Sleeps for `duration`, unless the event is set before or meanwhile.
    ///
    /// # Errors
    ///
    /// [`Stopped`], at once, when the event is set.
    ///
    /// ```
    /// use stoppable::StopEvent;
    /// use std::time::Duration;
    ///
    /// let stop = StopEvent::new();
    /// assert!(stop.sleep(Duration::from_millis(1)).is_ok());
    /// stop.set();
    /// assert!(stop.sleep(Duration::from_secs(3600)).is_err());
    /// ```
    pub fn sleep(&self, duration: Duration) -> Result<(), Stopped> {
        if self.wait_timeout(duration) {
            Err(self.stopped_error())
        } else {
            Ok(())
        }
    }

    /// Calls `code` once, when the event is set: on the thread that sets it, under no lock, before its
    /// `set` returns; or at once, on this thread, if it is set already. A panic in it is
    /// contained: it disturbs neither the setter nor other callbacks. It runs as a part of no task:
    /// [`current`](crate::current) is `never()` in it, and its polls are not a task's.
    ///
    /// It should be short: whoever sets the event waits for it, and a deadline's callbacks hold up all
    /// other deadlines.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use stoppable::StopEvent;
    ///
    /// let stop = StopEvent::new();
    /// let (sender, receiver) = mpsc::channel();
    /// let callback = stop.on_set(move || sender.send("stopped").unwrap());
    /// stop.set();
    /// assert_eq!(receiver.recv(), Ok("stopped"));
    /// drop(callback);
    /// ```
    pub fn on_set(&self, code: impl FnOnce() + Send + 'static) -> StopCallback {
        StopCallback::new(self.node.as_ref(), code)
    }

    /// A future that is ready when the event is set, on any runtime. As for [`wait`](Self::wait), a task
    /// to which this handle was given has seen its stop then.
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use stoppable::StopEvent;
    ///
    /// let stop = StopEvent::new();
    /// let mut stopped = pin!(stop.stopped());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert_eq!(stopped.as_mut().poll(&mut context), Poll::Pending);
    /// stop.set();
    /// assert_eq!(stopped.as_mut().poll(&mut context), Poll::Ready(()));
    /// # use std::future::Future;
    /// ```
    pub fn stopped(&self) -> StopFuture {
        StopFuture::new(self.clone())
    }
}
