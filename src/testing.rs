//! For tests of code that can be stopped: a stop at each point at which the code looks (feature `testing`).
//!
//! Code that polls a stop event can be stopped at each of its polls, and has to leave things in order
//! at every one of them. A test that sets the event from another thread after some milliseconds
//! hits one of these points, another one in each run. Here the poll itself sets the event:
//!
//! - [`stop_at_poll`] makes an event that is set by its k-th poll;
//! - [`at_every_poll`] runs a test once for each k, so that each stop point has been tried, and sees to it
//!   that the code neither goes on polling long after its stop nor keeps a handle.
//!
//! ```
//! use stoppable::{StopEvent, Stopped, testing};
//!
//! /// Moves all of `from` to `to`, or nothing.
//! fn transfer(from: &mut Vec<u8>, to: &mut Vec<u8>, stop: &StopEvent) -> Result<(), Stopped> {
//!     let mut copy = Vec::new();
//!     for &item in from.iter() {
//!         stop.check()?;
//!         copy.push(item);
//!     }
//!     from.clear();
//!     to.append(&mut copy);
//!     Ok(())
//! }
//!
//! let stop_points = testing::at_every_poll(|stop| {
//!     let (mut from, mut to) = (vec![1, 2, 3], vec![]);
//!     match transfer(&mut from, &mut to, stop) {
//!         Ok(()) => assert_eq!((from.len(), to.len()), (0, 3)),
//!         Err(_) => assert_eq!((from.len(), to.len()), (3, 0)),
//!     }
//! });
//! // Before the first poll, and at each of three.
//! assert_eq!(stop_points, 4);
//! ```
//!
//! Tasks are tested in the same way, under the event (see [`at_every_poll`]).
//!
//! # What is a poll
//!
//! `is_set`, `check` and `peek` are one each, of the event itself, of a [`child`](StopEvent::child) or
//! [`any`](StopEvent::any) above which it is, and of a task under it ([`TaskBuilder::stop_with`](
//! crate::TaskBuilder::stop_with), [`ThreadPoolBuilder::stop_with`](crate::ThreadPoolBuilder::stop_with) with
//! [`Shutdown::StopAll`](crate::Shutdown::StopAll)). Each wait and sleep is one, made before it blocks;
//! one that begins before the stop is woken by it, as always. A poll of the future of
//! [`stopped`](StopEvent::stopped) is one or two. A poll that reaches the event by two ways is two. One
//! that finds an event further down set does not get here, and is none. Asking for the cause and printing
//! are none.
//!
//! The event is set by the thread that polls, inside of the poll: callbacks run there, and what pending
//! tasks under the event had captured is dropped there. The [cause](StopEvent::cause) is a
//! [`StopReason::Custom`](crate::StopReason::Custom) that names the poll, and the line that made the event.

use crate::stop::StopEvent;
use crate::stop::ambient::dispose;
use crate::stop::countdown::{Count, count_behind, countdown};
use crate::stop::node::NodeRef;
use crate::task::{panic_message, stash};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// Makes an event that is set by its `k`-th poll, counted from 1; that poll finds it set, and so does every
/// later one. With 0 it is set from the start; with [`u64::MAX`] it only counts.
///
/// It can be set before that like any other event. [What is a poll](self#what-is-a-poll)?
///
/// ```
/// use stoppable::testing::stop_at_poll;
///
/// let stop = stop_at_poll(3);
/// let worker = stop.event().child();
/// assert!(!worker.is_set());
/// assert!(stop.event().check().is_ok());
/// assert!(worker.is_set());
/// assert_eq!(worker.reason().unwrap().to_string(), "poll 3");
/// assert_eq!((stop.polls(), stop.late_polls()), (3, 0));
/// ```
#[track_caller]
pub fn stop_at_poll(k: u64) -> StopAtPoll {
    StopAtPoll {
        event: StopEvent::of(countdown(k)),
    }
}

/// An event that is set by one of its polls, and their count; made by [`stop_at_poll`].
#[derive(Debug)]
#[must_use = "it does nothing by itself: give its `event()` to the code under test"]
pub struct StopAtPoll {
    /// Its node is a countdown.
    event: StopEvent,
}

impl StopAtPoll {
    /// The event.
    pub fn event(&self) -> &StopEvent {
        &self.event
    }

    /// How many polls there have been in all.
    pub fn polls(&self) -> u64 {
        self.count().map_or(0, Count::polls)
    }

    /// How many polls there have been after the first one that found the event set. (With an event that
    /// is set by its poll, that is the one that set it.)
    pub fn late_polls(&self) -> u64 {
        self.count().map_or(0, Count::found_set).saturating_sub(1)
    }

    fn count(&self) -> Option<&Count> {
        self.event.node().and_then(count_behind)
    }

    /// Whether this is the only handle, and nothing is under the event, or is so before `patience` is at
    /// an end.
    fn is_only(&self, patience: Duration) -> bool {
        // A pool that has gone may still be known to this thread, for the next one's sake.
        stash::clear();
        let start = Instant::now();
        while !self.event.node().is_some_and(NodeRef::has_one) {
            if start.elapsed() >= patience {
                return false;
            }
            // A worker that has told the joiner is about to let go of the task.
            thread::sleep(Duration::from_micros(50));
        }
        true
    }
}

/// Runs `code` once for each stop point: with an event that is set from the start, then with one that is set
/// by its first poll, by its second, and so on, until a run ends without having come to its stop. Returns how
/// many stop points there were: one more than the polls of the run that was not stopped.
///
/// As [`EveryPoll::run`], with the limits of [`EveryPoll::new`].
///
/// What the outcome has to be is for `code` to assert, with the event at hand to tell which case it is. A task
/// is given the event with `stop_with`:
///
/// ```
/// use stoppable::{Outcome, ThreadPool, testing};
///
/// let pool = ThreadPool::new(1);
/// let stop_points = testing::at_every_poll(|stop| {
///     let task = pool.task().stop_with(stop).submit(|stop| {
///         (1..=5).take_while(|_| !stop.is_set()).sum::<u32>()
///     });
///     match task.outcome() {
///         Outcome::Completed(sum) => assert_eq!(sum, 15),
///         Outcome::Cancelled { partial, .. } => assert!(partial.unwrap() < 15),
///         Outcome::NeverStarted(_) => assert!(stop.peek()),
///         Outcome::Panicked(_) => unreachable!(),
///     }
/// });
/// assert_eq!(stop_points, 6);
/// ```
///
/// # Panics
///
/// As [`EveryPoll::run`].
#[track_caller]
pub fn at_every_poll(code: impl FnMut(&StopEvent)) -> u64 {
    EveryPoll::new().run(code)
}

/// [`at_every_poll`] with limits of one's own.
///
/// ```
/// use stoppable::testing::EveryPoll;
///
/// // A loop that nothing but a stop ends, and that leaves at the first sight of it.
/// EveryPoll::new().at_most(20).late_polls(0).run(|stop| while !stop.is_set() {});
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `run`"]
pub struct EveryPoll {
    at_most: Option<u64>,
    late_polls: u64,
    patience: Duration,
}

/// So many stop points, and the code is taken to be without an end.
const ENDLESS: u64 = 1_000;

impl EveryPoll {
    /// 16 late polls, 5 seconds of patience, and no code that is without an end.
    pub fn new() -> Self {
        EveryPoll {
            at_most: None,
            late_polls: 16,
            patience: Duration::from_secs(5),
        }
    }

    /// Tries so many stop points and no more, for code that goes on until it is stopped. Without it, code
    /// that has 1,000 fails.
    pub fn at_most(mut self, stop_points: u64) -> Self {
        self.at_most = Some(stop_points);
        self
    }

    /// How many more polls each run may make after the first one that finds the event set. Code that looks
    /// again on each level that it leaves needs some; 0 is for code that leaves at once. 16 by default.
    pub fn late_polls(mut self, polls: u64) -> Self {
        self.late_polls = polls;
        self
    }

    /// How long other threads may take, after the code has returned, to let go of the event. It costs
    /// time only where a handle was left behind. 5 seconds by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs `code` once for each stop point, and returns how many it tried.
    ///
    /// The code should poll as often in each run until it is stopped: threads that poll as often as they
    /// come to it have no k-th poll in common, and the last run may come early. A wait without a time limit, made
    /// before the k-th poll, ends only if somebody polls or the code sets the event, as after a time with
    /// [`set_after`](StopEvent::set_after).
    ///
    /// A pool under the event is best used by the thread that runs `code`, and by its own workers: any other
    /// thread that has submitted to a pool or joined one of its tasks may go on knowing it, until it turns to
    /// another pool or ends, and that is taken for something that was left.
    ///
    /// # Panics
    ///
    /// With a message that names the stop point, if in some run
    ///
    /// - `code` panicked;
    /// - something is left of the event: a clone, a child, a wait for it, a task or pool under it;
    /// - there were more late polls than are allowed;
    ///
    /// and if there are 1,000 stop points and no [`at_most`](Self::at_most).
    #[track_caller]
    pub fn run(&self, mut code: impl FnMut(&StopEvent)) -> u64 {
        let most = self.at_most.unwrap_or(ENDLESS);
        for k in 0..most {
            let stop = stop_at_poll(k);
            let ran = catch_unwind(AssertUnwindSafe(|| code(stop.event())));
            self.check(k, &stop, ran.err());
            if stop.polls() < k {
                return k;
            }
        }
        assert!(
            self.at_most.is_some(),
            "the code has {ENDLESS} stop points or more: \
             if nothing but a stop ends it, limit them with `EveryPoll::at_most`"
        );
        most
    }

    #[track_caller]
    fn check(&self, k: u64, stop: &StopAtPoll, payload: Option<Box<dyn std::any::Any + Send>>) {
        if let Some(payload) = payload {
            let message = panic_message(&*payload).unwrap_or("?").to_owned();
            dispose(payload);
            panic!("with the stop at poll {k}, the code panicked: {message}");
        }
        // First this: who has a handle may still poll.
        assert!(
            stop.is_only(self.patience),
            "with the stop at poll {k}, something was left of the event {:?} after the code returned: \
             a clone, a child, a wait, or a task or pool under it",
            self.patience,
        );
        let late = stop.late_polls();
        assert!(
            late <= self.late_polls,
            "with the stop at poll {k}, the code polled {late} times more after it had found the \
             event set; {} are allowed",
            self.late_polls,
        );
    }
}

impl Default for EveryPoll {
    /// As [`EveryPoll::new`].
    fn default() -> Self {
        EveryPoll::new()
    }
}
