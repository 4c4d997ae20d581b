//! Room in a bounded queue, handed out in the order in which it was asked for.

use crate::stop::parker::Parker;
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
    waiting: VecDeque<Arc<Parker>>,
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

    /// Takes room for one task, if there is some and nobody waits for it.
    pub(crate) fn try_acquire(&self) -> bool {
        let mut inner = self.inner.lock();
        let room = inner.closed || (inner.used < self.most && inner.waiting.is_empty());
        inner.used += usize::from(room);
        room
    }

    /// Takes room for one task, and waits for it in turn.
    pub(crate) fn acquire(&self) {
        let parker = {
            let mut inner = self.inner.lock();
            if inner.closed || (inner.used < self.most && inner.waiting.is_empty()) {
                inner.used += 1;
                return;
            }
            let parker = Arc::new(Parker::new());
            inner.waiting.push_back(Arc::clone(&parker));
            parker
        };
        // Whoever wakes us has counted us.
        parker.park();
    }

    /// Takes room for one task whether there is some or not: for tasks that submit to their own
    /// pool, which must not wait for themselves.
    pub(crate) fn acquire_over(&self) {
        self.inner.lock().used += 1;
    }

    /// Gives room back, to those who wait for it first.
    pub(crate) fn release(&self, count: usize) {
        let mut woken = Vec::new();
        {
            let mut inner = self.inner.lock();
            inner.used -= count;
            while inner.used < self.most {
                let Some(first) = inner.waiting.pop_front() else {
                    break;
                };
                inner.used += 1;
                woken.push(first);
            }
        }
        for parker in woken {
            parker.unpark();
        }
    }

    /// Lets everyone who waits go on, and nobody wait from now on.
    pub(crate) fn close(&self) {
        let woken = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            let woken = std::mem::take(&mut inner.waiting);
            inner.used += woken.len();
            woken
        };
        for parker in woken {
            parker.unpark();
        }
    }
}
