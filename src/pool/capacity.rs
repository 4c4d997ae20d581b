//! Room in a bounded queue, handed out in the order in which it was asked for.

use crate::stop::StopEvent;
use crate::stop::listeners::Listen;
use crate::stop::parker::Parker;
use crate::stop::wait::Registration;
use crate::sync::{Arc, Mutex};
use std::collections::VecDeque;

pub(crate) struct Capacity {
    most: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    /// How many tasks are pending, or about to be.
    used: usize,
    /// Nobody waits any more: the pool is closing, and who asks goes on to be refused.
    closed: bool,
    /// Who waits, and for how many tasks.
    waiting: VecDeque<(usize, Arc<Parker>)>,
}

impl Inner {
    /// Whether there is room for so many more.
    fn has_room(&self, count: usize, most: usize) -> bool {
        self.used.saturating_add(count) <= most
    }
}

impl Capacity {
    pub(crate) fn new(most: usize) -> Self {
        Capacity {
            most,
            inner: Mutex::new(Inner {
                used: 0,
                closed: false,
                waiting: VecDeque::new(),
            }),
        }
    }

    /// For how many tasks there is room at most.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.inner.lock().waiting.is_empty()
    }

    /// Takes room for so many tasks, if there is some and nobody waits for it.
    pub(crate) fn try_acquire(&self, count: usize) -> bool {
        let mut inner = self.inner.lock();
        let turn = inner.waiting.is_empty() && inner.has_room(count, self.most);
        let room = inner.closed || turn;
        inner.used += if room { count } else { 0 };
        room
    }

    /// Takes room for so many tasks, at most for as many as there ever is room for, and waits for it
    /// in turn, until one of these events is set. False: one is, and there is no room.
    pub(crate) fn acquire<'a>(
        &self,
        count: usize,
        stops: impl IntoIterator<Item = &'a StopEvent>,
    ) -> bool {
        debug_assert!(count <= self.most, "it would wait for ever");
        let parker = {
            let mut inner = self.inner.lock();
            let turn = inner.waiting.is_empty() && inner.has_room(count, self.most);
            if inner.closed || turn {
                inner.used += count;
                return true;
            }
            let parker = Arc::new(Parker::new());
            inner.waiting.push_back((count, Arc::clone(&parker)));
            parker
        };
        let listener: Arc<dyn Listen> = parker.clone();
        let nodes = stops.into_iter().filter_map(StopEvent::node);
        let registrations: Option<Vec<_>> = nodes
            .map(|node| Registration::on_chain(node, &listener))
            .collect();
        if registrations.is_some() {
            // Woken by who hands out room, and has counted us, or by who sets an event.
            parker.park();
        }
        !self.give_up(&parker)
    }

    /// Waits no more. False: room had been handed out.
    fn give_up(&self, parker: &Arc<Parker>) -> bool {
        let was_waiting = {
            let mut inner = self.inner.lock();
            let is = |(_, other): &(usize, Arc<Parker>)| Arc::ptr_eq(other, parker);
            let place = inner.waiting.iter().position(is);
            place.is_some_and(|place| inner.waiting.remove(place).is_some())
        };
        if was_waiting {
            // Those behind may want less.
            self.release(0);
        }
        was_waiting
    }

    /// Takes room for so many tasks whether there is some or not: for tasks that submit to their own
    /// pool, which must not wait for themselves.
    pub(crate) fn acquire_over(&self, count: usize) {
        self.inner.lock().used += count;
    }

    /// Gives room back, to those who wait for it first.
    pub(crate) fn release(&self, count: usize) {
        let mut woken = Vec::new();
        {
            let mut inner = self.inner.lock();
            inner.used -= count;
            while let Some((first, _)) = inner.waiting.front() {
                let first = *first;
                if !inner.has_room(first, self.most) {
                    break;
                }
                inner.used += first;
                woken.extend(inner.waiting.pop_front());
            }
        }
        for (_, parker) in woken {
            parker.unpark();
        }
    }

    /// Lets everyone who waits go on, and nobody wait from now on.
    pub(crate) fn close(&self) {
        let woken = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            let woken = std::mem::take(&mut inner.waiting);
            inner.used += woken.iter().map(|(count, _)| count).sum::<usize>();
            woken
        };
        for (_, parker) in woken {
            parker.unpark();
        }
    }
}
