//! The stop event: what users poll, check and set; how they hear of it lies below, in `event/hear.rs`. Any thread may do any of
//! this at any time.

mod hear;

use super::ambient::is_in_callback;
use super::any;
use super::cause::{StopCause, StopReason, Stopped};
use super::guard::StopOnDrop;
use super::node::NodeRef;
use super::timer::Timer;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A flag that is set at most once and asks the work that looks at it to stop.
///
/// A stop event is cheap to clone (every clone is the same event), two words large, and can be
/// polled from anywhere: [`is_set`](Self::is_set) is one relaxed load for each level of the tree
/// that the event is in, without a lock, a clock or a write. A task in a pool is given its own
/// event, which is a [`child`](Self::child) of the pool's: it reads as set when either is.
///
/// Setting is asking. Nothing is ever killed: code that does not look goes on until it ends.
///
/// There is no `clear`: a stop that is set and cleared again can be missed by the task that was to
/// see it. Make a `child` for each round instead.
///
/// ```
/// use stoppable::StopEvent;
/// use std::thread;
///
/// let stop = StopEvent::new();
/// let worker = thread::spawn({
///     let stop = stop.clone();
///     move || {
///         let mut rounds = 0_u64;
///         while !stop.is_set() {
///             rounds += 1;
///         }
///         rounds
///     }
/// });
/// stop.set();
/// worker.join().unwrap();
/// ```
///
/// # Seeing
///
/// The event that a task is given (as its closure's argument, through [`current`](crate::current),
/// their clones and children) notes when the task finds it set; that is how a pool tells a task that
/// was *Cancelled* from one that *Completed* although it had been asked. Polls through other
/// handles, such as [`TaskHandle::stop_event`](crate::TaskHandle::stop_event), and
/// [`peek`](Self::peek) note nothing.
#[derive(Clone)]
pub struct StopEvent {
    /// `None` is the event that can never be set.
    node: Option<NodeRef>,
    /// The task to which this handle was given, whose seeing is noted.
    observer: Option<NodeRef>,
}

impl StopEvent {
    /// A new event, unset and with no parent. One allocation.
    pub fn new() -> Self {
        StopEvent::of(NodeRef::plain(None))
    }

    /// An event that can never be set, and costs nothing to make or to poll.
    ///
    /// Setting it does nothing; waiting for it without a time limit waits for ever.
    pub const fn never() -> Self {
        StopEvent {
            node: None,
            observer: None,
        }
    }

    /// Whether anything can ever set it. False for [`never`](Self::never) alone.
    pub const fn can_be_set(&self) -> bool {
        self.node.is_some()
    }

    /// A handle on `node` through which nobody's seeing is noted.
    pub(crate) fn of(node: NodeRef) -> Self {
        StopEvent {
            node: Some(node),
            observer: None,
        }
    }

    pub(crate) fn node(&self) -> Option<&NodeRef> {
        self.node.as_ref()
    }

    /// The one whose seeing is noted.
    pub(crate) fn observer(&self) -> Option<&NodeRef> {
        self.observer.as_ref()
    }

    /// The handle that a task is given on its own node.
    pub(crate) fn given(node: NodeRef, observer: NodeRef) -> Self {
        StopEvent {
            node: Some(node),
            observer: Some(observer),
        }
    }

    /// Sets the event; true for the one call that did, false if it was set already.
    ///
    /// When it returns, winner or not, the event is set and has its cause; when it returns true,
    /// everyone who waited has been woken. An event that reads as set because an ancestor is set
    /// counts as set already. It waits for nothing, but drops what pending tasks had captured, if the
    /// event is such a task's, or that of a pool or one above it.
    ///
    /// The reason is [`StopReason::Requested`], or [`StopReason::Shutdown`] for the event of a pool.
    #[track_caller]
    pub fn set(&self) -> bool {
        match &self.node {
            Some(node) => self.set_with(node.kind().reason.clone()),
            None => false,
        }
    }

    /// As [`set`](Self::set), with a reason.
    #[track_caller]
    pub fn set_with(&self, reason: StopReason) -> bool {
        match &self.node {
            Some(node) => node.raise_as_kind(&StopCause::now(reason)),
            None => false,
        }
    }

    /// As [`set_with`](Self::set_with), on behalf of the code at `location`.
    pub(crate) fn set_from(&self, reason: StopReason, location: &'static Location<'static>) {
        if let Some(node) = &self.node {
            node.raise_as_kind(&StopCause::at(reason, location));
        }
    }

    /// Whether the event, or any of its ancestors, is set. This is the poll.
    ///
    /// One relaxed load for each level; a task in a pool has two. When it says true, everything
    /// that the setter did before is visible, and, if this handle was given to a task, the task is
    /// noted to have seen its stop.
    #[inline]
    pub fn is_set(&self) -> bool {
        match &self.node {
            Some(node) if node.poll() => {
                self.note();
                true
            }
            _ => false,
        }
    }

    /// As [`is_set`](Self::is_set), but never counts as the task seeing its stop.
    #[inline]
    pub fn peek(&self) -> bool {
        self.node.as_ref().is_some_and(NodeRef::poll)
    }

    /// The poll, for use with `?`. As cheap as [`is_set`](Self::is_set) while the event is unset.
    ///
    /// # Errors
    ///
    /// [`Stopped`], with the cause, if the event is set.
    #[inline]
    pub fn check(&self) -> Result<(), Stopped> {
        if self.is_set() {
            Err(self.stopped_error())
        } else {
            Ok(())
        }
    }

    #[cold]
    fn stopped_error(&self) -> Stopped {
        let cause = self.node.as_ref().and_then(NodeRef::cause);
        Stopped::new(cause.expect("an event that reads set has its cause"))
    }

    /// Why the event was set, or `None` while it is unset. Does not count as seeing.
    pub fn reason(&self) -> Option<StopReason> {
        self.cause().map(|cause| cause.reason)
    }

    /// Why, when and where the event was set, or `None` while it is unset. Of several setters the
    /// first one's cause stays; an event that was stopped through an ancestor has the ancestor's.
    /// Does not count as seeing.
    pub fn cause(&self) -> Option<StopCause> {
        self.node.as_ref()?.cause()
    }

    /// A new event under this one: set when it is set itself, or this one is. Setting the child
    /// leaves this one alone. One allocation; takes no lock and, dropped, leaves nothing behind.
    ///
    /// ```
    /// use stoppable::StopEvent;
    ///
    /// let all = StopEvent::new();
    /// let one = all.child();
    /// let two = all.child();
    /// one.set();
    /// assert!(one.is_set() && !two.is_set() && !all.is_set());
    /// all.set();
    /// assert!(two.is_set());
    /// ```
    #[must_use = "a child that is dropped at once stops nothing"]
    pub fn child(&self) -> StopEvent {
        StopEvent {
            node: Some(NodeRef::plain(self.node.clone())),
            observer: self.observer.clone(),
        }
    }

    /// As [`child`](Self::child), but who waits for it has not looked at this one.
    pub(crate) fn unseen_child(&self) -> StopEvent {
        StopEvent::of(NodeRef::plain(self.node.clone()))
    }

    /// Sets the event in so much time, with [`StopReason::Deadline`], unless it is set before. A zero
    /// duration sets it at once; one too long for the clock never does. Of several deadlines the
    /// earliest counts.
    ///
    /// A poll costs the same with a deadline as without. One thread serves all deadlines of the process;
    /// it is started when the first one is set, and sleeps in between. An event that is dropped leaves
    /// no timer behind. Callbacks run on that thread; what a pending task had captured
    /// is dropped by a thread of its pool.
    ///
    /// # Panics
    ///
    /// If the operating system refuses that one thread.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoppable::{StopEvent, StopReason};
    ///
    /// let limit = StopEvent::new();
    /// limit.set_after(Duration::from_millis(5));
    /// limit.wait();
    /// assert_eq!(limit.reason(), Some(StopReason::Deadline));
    /// ```
    #[track_caller]
    pub fn set_after(&self, duration: Duration) {
        if let Some(at) = Instant::now().checked_add(duration) {
            self.set_at(at);
        }
    }

    /// As [`set_after`](Self::set_after), at that instant; at once if it has passed.
    #[track_caller]
    pub fn set_at(&self, at: Instant) {
        let Some(node) = self.node.as_ref().filter(|node| !node.reads_set()) else {
            return;
        };
        if at <= Instant::now() {
            self.set_with(StopReason::Deadline);
        } else {
            node.set_timer(Timer::Stop, at, Location::caller());
        }
    }

    /// An event that is set when any of these is, or it is set itself. Setting it leaves these alone.
    /// Without any, an event that only `set` sets.
    ///
    /// Its cause is that of the first of these that was set. A poll costs what a poll
    /// of each costs. One given to a task counts as that task's only if it is the first of these that was.
    ///
    /// ```
    /// use stoppable::StopEvent;
    ///
    /// let (request, server) = (StopEvent::new(), StopEvent::new());
    /// let either = StopEvent::any([&request, &server]);
    /// server.set();
    /// assert!(either.is_set() && !request.is_set());
    /// ```
    #[must_use = "an event that is dropped at once stops nothing"]
    pub fn any<'a>(parents: impl IntoIterator<Item = &'a StopEvent>) -> StopEvent {
        let mut observer = None;
        let mut nodes = Vec::new();
        for parent in parents {
            observer = observer.or_else(|| parent.observer.clone());
            nodes.extend(parent.node.clone());
        }
        let mut nodes = nodes.into_iter();
        let node = match nodes.next() {
            Some(first) => any::any(first, nodes.collect()),
            None => NodeRef::plain(None),
        };
        StopEvent {
            node: Some(node),
            observer,
        }
    }

    /// A guard that sets the event when it is dropped, with [`StopReason::Dropped`], unless it is
    /// [disarmed](StopOnDrop::disarm).
    #[track_caller]
    pub fn set_on_drop(&self) -> StopOnDrop {
        StopOnDrop::new(self.clone())
    }

    /// Notes that the task to which this handle was given has seen its stop.
    #[cold]
    fn note(&self) {
        if let Some(task) = &self.observer {
            // A task that sets a child of its own was not asked; a callback is a part of no task.
            if task.reads_set() && !is_in_callback() {
                task.note_seen();
            }
        }
    }
}

impl Default for StopEvent {
    /// A new event, as [`StopEvent::new`].
    fn default() -> Self {
        StopEvent::new()
    }
}

impl fmt::Debug for StopEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StopEvent { node, observer } = self;
        let mut out = f.debug_struct("StopEvent");
        match node {
            // To print an event is not to poll it.
            Some(node) => out
                .field("set", &node.reads_set())
                .field("reason", &self.reason())
                .field("given_to_task", &observer.is_some())
                .finish(),
            None => out.field("never", &true).finish(),
        }
    }
}
