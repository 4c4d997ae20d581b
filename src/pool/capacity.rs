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
    /// How many tasks are pending, or about to be, or have just left the queue.
    used: usize,
    /// For how many tasks room has ever been handed out, less what was given back for want of a task.
    handed_out: u64,
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

    /// Hands out room for so many.
    fn hand_out(&mut self, count: usize) {
        self.used += count;
        self.handed_out += count as u64;
    }
}

impl Capacity {
    pub(crate) fn new(most: usize) -> Self {
        Capacity {
            most,
            inner: Mutex::new(Inner {
                used: 0,
                handed_out: 0,
                closed: false,
                waiting: VecDeque::new(),
            }),
        }
    }

    /// For how many tasks there is room at most.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Takes room for so many tasks, if there is some and nobody waits for it.
    pub(crate) fn try_acquire(&self, count: usize) -> bool {
        let mut inner = self.inner.lock();
        let turn = inner.waiting.is_empty() && inner.has_room(count, self.most);
        let room = inner.closed || turn;
        if room {
            inner.hand_out(count);
        }
        room
    }

    /// As [`try_acquire`](Self::try_acquire), by the count of the tasks that have ever left the queue, which is
    /// never behind what the caller has seen: who takes a task gives its room back a few instructions
    /// later.
    pub(crate) fn try_acquire_counted(&self, count: usize, left: u64) -> bool {
        let mut inner = self.inner.lock();
        // Never less than none: room is handed out before a task is accepted.
        let used = inner.handed_out - left;
        let room =
            inner.waiting.is_empty() && used.saturating_add(count as u64) <= self.most as u64;
        if room {
            // `used` goes over the limit until the others have given back what is theirs.
            inner.hand_out(count);
        }
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
                inner.hand_out(count);
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
        self.inner.lock().hand_out(count);
    }

    /// Gives back the room of tasks that have left the queue, to those who wait for it first.
    pub(crate) fn release(&self, count: usize) {
        self.pass_on(count, 0);
    }

    /// Gives back room that no task took.
    pub(crate) fn release_unused(&self, count: usize) {
        self.pass_on(count, count as u64);
    }

    fn pass_on(&self, count: usize, unused: u64) {
        let mut woken = Vec::new();
        {
            let mut inner = self.inner.lock();
            inner.used -= count;
            inner.handed_out -= unused;
            while let Some((first, _)) = inner.waiting.front() {
                let first = *first;
                if !inner.has_room(first, self.most) {
                    break;
                }
                inner.hand_out(first);
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
            inner.hand_out(woken.iter().map(|(count, _)| count).sum());
            woken
        };
        for (_, parker) in woken {
            parker.unpark();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn room_that_no_task_took_is_there_again() {
        let capacity = Capacity::new(2);
        assert!(capacity.try_acquire(2) && !capacity.try_acquire(1));
        capacity.release_unused(1);
        assert!(capacity.try_acquire(1) && !capacity.try_acquire(1));
        // By the count of those that have left the queue, too.
        assert!(!capacity.try_acquire_counted(1, 0));
        assert!(capacity.try_acquire_counted(1, 1));
    }

    #[test]
    fn who_finds_room_or_a_closed_door_does_not_wait() {
        // Who would wait gives up at once.
        let stopped = StopEvent::new();
        stopped.set();
        let capacity = Capacity::new(1);
        assert!(capacity.acquire(1, [&stopped]));
        assert!(!capacity.acquire(1, [&stopped]));
        capacity.close();
        assert!(capacity.acquire(1, [&stopped]));
        assert!(capacity.try_acquire(1));
    }

    #[test]
    fn who_has_seen_a_task_leave_finds_its_room() {
        let capacity = Capacity::new(3);
        assert!(capacity.try_acquire(3));
        assert!(!capacity.try_acquire_counted(3, 2));
        assert!(capacity.try_acquire_counted(2, 2));
        assert!(!capacity.try_acquire_counted(1, 2));
        // For all others there is none before it has been given back.
        assert!(!capacity.try_acquire(1));
        capacity.release(2);
        assert!(!capacity.try_acquire(1));
        capacity.release(1);
        assert!(capacity.try_acquire(1));
    }
}
