//! A shutdown that grows stronger step by step; and waiting for those who are left.

use super::ThreadPool;
use super::shared::Core;
use crate::report::{Ending, Shutdown, ShutdownReport, Step};
use crate::stop::listeners::Listen;
use crate::stop::wait::Registration;
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How long each step of a [`shutdown_graceful`](ThreadPool::shutdown_graceful) may take. A step that is not named is
/// left out, and when every task has ended in one, none follows. Without any, everything is stopped, and nobody waited for.
///
/// ```
/// use std::time::Duration;
/// use stoppable::{Graceful, ThreadPool};
///
/// let pool = ThreadPool::new(1);
/// let deaf = pool.submit(|_stop| std::thread::sleep(Duration::from_millis(300)));
/// deaf.wait_started();
/// let graceful = Graceful::new()
///     .drain(Duration::from_millis(10))
///     .cancel_pending(Duration::from_millis(10))
///     .stop_all(Duration::from_millis(10));
/// let report = pool.shutdown_graceful(graceful);
/// assert_eq!((report.steps().len(), report.running()), (3, 1));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is to be given to `shutdown_graceful`"]
pub struct Graceful {
    /// By mode.
    steps: [Option<Duration>; 3],
    give_up: Option<StopEvent>,
}

impl Graceful {
    /// Without any step: to begin with.
    pub fn new() -> Self {
        Graceful::default()
    }

    fn step(mut self, mode: Shutdown, limit: Duration) -> Self {
        self.steps[mode as usize] = Some(limit);
        self
    }

    /// For so long pending tasks are still run, and so is what running tasks submit.
    pub fn drain(self, limit: Duration) -> Self {
        self.step(Shutdown::Drain, limit)
    }

    /// For so long, from then on, running tasks are waited for, and the pending ones never start.
    pub fn cancel_pending(self, limit: Duration) -> Self {
        self.step(Shutdown::CancelPending, limit)
    }

    /// For so long, from then on, running tasks are waited for that have been asked to stop.
    pub fn stop_all(self, limit: Duration) -> Self {
        self.step(Shutdown::StopAll, limit)
    }

    /// Waits no longer when this event is set: the strongest step that is named is begun, and its time is
    /// over. For a second Ctrl-C.
    pub fn give_up_on(mut self, event: &StopEvent) -> Self {
        self.give_up = Some(event.clone());
        self
    }
}

/// The order of the steps.
const MODES: [Shutdown; 3] = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll];

/// Wakes who waits for the threads to end.
struct Hurry(Core);

impl Listen for Hurry {
    fn notify(&self) {
        self.0.wake_waiting();
    }
}

impl ThreadPool {
    /// Shuts the pool down step by step: lets it drain for a while, then cancels what is pending, then stops
    /// everything, and then gives up; with the times that `graceful` says. It takes at most their sum, and returns as soon as
    /// every thread has ended.
    ///
    /// The report says when each step began and what became of tasks in it ([`steps`](ShutdownReport::steps)),
    /// and names [who is left](ShutdownReport::stragglers), if somebody is.
    ///
    /// Called from one of the pool's own threads it begins the first step and returns at once, as
    /// [`shutdown`](Self::shutdown) does.
    #[track_caller]
    pub fn shutdown_graceful(&self, graceful: Graceful) -> ShutdownReport {
        let Graceful {
            steps: mut limits,
            give_up,
        } = graceful;
        if limits.iter().all(Option::is_none) {
            limits[Shutdown::StopAll as usize] = Some(Duration::ZERO);
        }
        let is_over = || give_up.as_ref().is_some_and(StopEvent::peek);
        let hurry: Arc<dyn Listen> = Arc::new(Hurry(self.core.clone()));
        let node = give_up.as_ref().and_then(StopEvent::node);
        let registration = node.and_then(|node| Registration::on_chain(node, &hurry));
        let began = Instant::now();
        let mut steps = Vec::new();
        let named = MODES.into_iter().zip(limits);
        let mut named = named
            .filter_map(|(mode, limit)| Some((mode, limit?)))
            .peekable();
        while let Some((mode, limit)) = named.next() {
            if is_over() && named.peek().is_some() {
                continue;
            }
            let after = began.elapsed();
            let before = self.stats();
            let deadline = Instant::now().checked_add(limit);
            let cause = StopCause::now(StopReason::Shutdown);
            self.core.begin_and_bury(mode, &cause);
            if self.core.is_inside() {
                break;
            }
            let ended = self.core.wait_ended_unless(deadline, is_over);
            steps.push(Step::new(
                mode,
                after,
                began.elapsed(),
                before,
                self.stats(),
            ));
            if ended {
                self.core.join_threads();
                break;
            }
        }
        drop(registration);
        self.core.report().with_steps(steps)
    }
}

impl Ending for Core {
    fn wait(&self, deadline: Option<Instant>) -> bool {
        self.wait_ended(deadline)
    }

    fn wake(&self, waker: &Waker) -> bool {
        self.wake_when_ended(waker)
    }

    fn report(&self) -> ShutdownReport {
        Core::report(self)
    }
}
