//! What most tasks do without, a name, times, an event besides their pool's; and the room for it in a cell. Most of it is
//! written before the task is shared, and stays; who begins or dooms the task takes what it listens with.

use super::TaskRef;
use crate::report::tick::Tick;
use crate::stop::timer::Timer;
use crate::stop::wait::Registration;
use crate::sync::{Arc, Mutex};
use crate::task::{group, slab};
use std::panic::Location;
use std::time::{Duration, Instant};

/// What most tasks do without, and so have no room for.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) name: Option<Arc<str>>,
    /// How long it may run.
    pub(crate) timeout: Option<Duration>,
    /// When it has to have begun.
    pub(crate) start_before: Option<Instant>,
    /// Where these were given.
    pub(crate) location: &'static Location<'static>,
    /// When it was submitted, if anybody wants to know.
    pub(crate) submitted: Option<Tick>,
    /// Listens for an event of the user's while the task is pending.
    pub(crate) watch: Mutex<Option<Registration>>,
}

impl Extra {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Extra {
            name: None,
            timeout: None,
            start_before: None,
            location: Location::caller(),
            submitted: None,
            watch: Mutex::new(None),
        }
    }
}

/// Whether a cell has room for an [`Extra`].
pub(crate) trait Room: Send + Sync + 'static {
    /// Whether there may be something, or the task may be a member of a group.
    const ANY: bool;
    fn extra(&self) -> Option<&Extra>;
    fn submitted(&self) -> Option<Tick>;
}

/// What lies in the room of a cell that has one.
#[derive(Clone, Copy)]
pub(in crate::task) struct Found<'a> {
    pub(super) extra: Option<&'a Extra>,
    pub(super) submitted: Option<Tick>,
}

impl Room for () {
    const ANY: bool = false;
    fn extra(&self) -> Option<&Extra> {
        None
    }
    fn submitted(&self) -> Option<Tick> {
        None
    }
}

impl Room for Extra {
    const ANY: bool = true;
    fn extra(&self) -> Option<&Extra> {
        Some(self)
    }
    fn submitted(&self) -> Option<Tick> {
        self.submitted
    }
}

/// The task may be a member of a group, and it may be known when it was submitted.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) submitted: Option<Tick>,
}

impl Room for Noted {
    const ANY: bool = true;
    fn extra(&self) -> Option<&Extra> {
        None
    }
    fn submitted(&self) -> Option<Tick> {
        self.submitted
    }
}

impl TaskRef {
    pub(in crate::task) fn extra(&self) -> Option<&Extra> {
        self.table().find.and_then(|find| find(self).extra)
    }

    /// When it was submitted, if that is known.
    pub(crate) fn submitted(&self) -> Option<Tick> {
        match slab::around(self) {
            Some(slab) => slab.submitted(),
            None => self.table().find.and_then(|find| find(self).submitted),
        }
    }

    pub(crate) fn shared_name(&self) -> Option<&Arc<str>> {
        self.extra()?.name.as_ref()
    }

    /// Keeps a registration until the task begins or is doomed.
    pub(in crate::task) fn watch(&self, registration: Registration) {
        if let Some(extra) = self.extra() {
            *extra.watch.lock() = Some(registration);
        }
        // It may have been too late to be taken off.
        if self.state().load().has_begun() {
            self.stand_down();
        }
    }

    /// Sets the timers that a task has while it is pending.
    pub(crate) fn await_start(&self) {
        if let Some((at, location)) = self
            .extra()
            .and_then(|extra| extra.start_before.zip(Some(extra.location)))
        {
            // One that has passed is for the caller to see.
            if at > Instant::now() {
                self.0.set_timer(Timer::Start, at, location);
            }
        }
    }

    /// If the task is pending and should have begun before: where that was said.
    pub(crate) fn expired(&self) -> Option<&'static Location<'static>> {
        let extra = self.extra()?;
        let expired = extra.start_before? <= Instant::now() && !self.state().load().has_begun();
        expired.then_some(extra.location)
    }

    /// The task begins.
    #[inline]
    pub(in crate::task) fn begin(&self) {
        if self.table().find.is_some() {
            self.begin_with_extra();
        }
    }

    #[cold]
    fn begin_with_extra(&self) {
        self.give_up_start();
        if let Some((timeout, location)) = self
            .extra()
            .and_then(|extra| extra.timeout.zip(Some(extra.location)))
        {
            if let Some(at) = Instant::now().checked_add(timeout) {
                self.0.set_timer(Timer::Cancel, at, location);
            }
        }
    }

    /// The task needs no timers any more, and need not listen for its start to be given up.
    #[inline]
    pub(in crate::task) fn stand_down(&self) {
        if self.table().find.is_some() {
            self.stand_down_with_extra();
        }
    }

    /// Nothing is to keep the task from starting any more.
    fn give_up_start(&self) {
        let Some(extra) = self.extra() else {
            return;
        };
        if extra.start_before.is_some() {
            self.0.forget_timer(Timer::Start);
        }
        let watch = extra.watch.lock().take();
        drop(watch);
    }

    #[cold]
    fn stand_down_with_extra(&self) {
        let Some(extra) = self.extra() else {
            return;
        };
        if extra.timeout.is_some() {
            self.0.forget_timer(Timer::Cancel);
        }
        self.give_up_start();
    }

    /// Whether there may be more to the task than its closure.
    #[inline]
    pub(in crate::task) fn has_room(&self) -> bool {
        self.table().find.is_some()
    }

    /// Nothing that the task borrows will be touched any more.
    #[cold]
    pub(in crate::task) fn give_up(&self) {
        if self.has_room() {
            group::give_up(self);
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.shared_name().map(|name| &**name)
    }
}
