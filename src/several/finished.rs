//! Who of several tasks has ended, in order.

use crate::stop::listeners::{Key, Listen, Topic};
use crate::sync::{Arc, Condvar, Mutex, spin_loop, wait_deadline};
use crate::task::cell::TaskRef;
use crate::task::context::{self, Awaited, Circle};
use crate::task::life::listen;
use std::collections::VecDeque;
use std::time::Instant;

/// How often to look before going to sleep.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 100 };

/// The places of tasks that have ended and have not been fetched.
struct Ended {
    places: Mutex<VecDeque<usize>>,
    more: Condvar,
}

impl Ended {
    fn push(&self, place: usize) {
        self.places.lock().push_back(place);
        self.more.notify_one();
    }
}

/// Notes the end of the task at that place.
struct Note {
    ended: Arc<Ended>,
    place: usize,
}

impl Listen for Note {
    fn notify(&self) {
        self.ended.push(self.place);
    }
}

/// Tasks of which it is fetched, one by one, which have ended.
pub(super) struct Finished {
    ended: Arc<Ended>,
    /// By place; `None` once it has been fetched. With a key on the task's list if it had not ended.
    tasks: Vec<Option<(TaskRef, Option<Key>)>>,
    /// How many have not been fetched.
    left: usize,
    /// All tasks before this place have begun.
    begun: usize,
}

/// What came of waiting for the next one.
pub(super) enum Next {
    /// The task at this place has ended.
    Place(usize),
    /// All have been fetched.
    None,
    /// The time has passed.
    TimedOut,
    /// All that are left, of which this is the first, wait for the caller.
    Circle(TaskRef, Circle),
}

impl Finished {
    pub(super) fn new() -> Self {
        Finished {
            ended: Arc::new(Ended {
                places: Mutex::new(VecDeque::new()),
                more: Condvar::new(),
            }),
            tasks: Vec::new(),
            left: 0,
            begun: 0,
        }
    }

    /// Adds a task, at the next place.
    pub(super) fn add(&mut self, task: &TaskRef) {
        let place = self.tasks.len();
        let note = Arc::new(Note {
            ended: Arc::clone(&self.ended),
            place,
        });
        let key = if task.state().load().is_done() {
            None
        } else {
            listen(task, Topic::Done, note)
        };
        if key.is_none() {
            self.ended.push(place);
        }
        self.tasks.push(Some((task.clone(), key)));
        self.left += 1;
    }

    /// How many have not been fetched.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Waits, at most until `deadline`, for the next one that has ended. If it helps, and is a worker of
    /// the first pending task's pool, it runs that one.
    pub(super) fn next(&mut self, helps: bool, deadline: Option<Instant>) -> Next {
        if self.left == 0 {
            return Next::None;
        }
        let mut place = self.ended.places.lock().pop_front();
        if place.is_none() && helps {
            self.help();
            place = self.ended.places.lock().pop_front();
        }
        if place.is_none() {
            place = match self.sleep(helps, deadline) {
                Ok(place) => place,
                Err((task, circle)) => return Next::Circle(task, circle),
            };
        }
        match place {
            Some(place) => {
                self.tasks[place] = None;
                self.left -= 1;
                Next::Place(place)
            }
            None => Next::TimedOut,
        }
    }

    /// Runs the first task that is pending and may be run, if this thread works for its pool.
    fn help(&mut self) {
        let has_begun = |task: &TaskRef| task.state().load().has_begun();
        while let Some(slot) = self.tasks.get(self.begun) {
            if slot.as_ref().is_some_and(|(task, _)| !has_begun(task)) {
                break;
            }
            self.begun += 1;
        }
        let tasks = self.tasks[self.begun..].iter().flatten();
        for (task, _) in tasks.filter(|(task, _)| !has_begun(task)) {
            let Some(worker) = context::worker_of(task.home()) else {
                continue;
            };
            // If there is neither stack nor a thread for it, or it has been handed back, others run it.
            let _ = worker.help(task);
            if has_begun(task) {
                return;
            }
        }
    }

    fn sleep(
        &self,
        helps: bool,
        deadline: Option<Instant>,
    ) -> Result<Option<usize>, (TaskRef, Circle)> {
        let ended = &self.ended;
        for _ in 0..LOOKS {
            let place = ended.places.lock().pop_front();
            if place.is_some() {
                return Ok(place);
            }
            spin_loop();
        }
        let mut place = None;
        let mut sleep = || {
            let mut places = ended.places.lock();
            let mut in_time = true;
            while in_time && places.is_empty() {
                in_time = wait_deadline(&ended.more, &mut places, deadline);
            }
            place = places.pop_front();
        };
        let left = || self.tasks.iter().flatten().map(|(task, _)| task);
        let worker = left().find_map(|task| context::worker_of(task.home()));
        match worker.filter(|_| helps) {
            Some(worker) => {
                let tasks: Vec<_> = left().cloned().collect();
                let first = tasks.first().cloned();
                // Of several it is enough that one ends.
                let blocked = worker.block(Awaited::AnyOf(tasks), &mut sleep);
                if let (Err(circle), Some(first)) = (blocked, first) {
                    return Err((first, circle));
                }
            }
            None => sleep(),
        }
        Ok(place)
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        for (task, key) in self.tasks.drain(..).flatten() {
            if let Some(key) = key {
                let _ = task.node().unlisten(key);
            }
        }
    }
}
