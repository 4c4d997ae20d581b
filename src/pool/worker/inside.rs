//! A worker that waits for a task: it runs that one on the spot, if nobody has begun it. All of this is done by the thread that
//! acts for the worker, inside the task that waits.
//!
//! # Deep joins
//!
//! A chain of tasks, each of which joins the next, is run by one worker as nested calls. Stack is
//! finite, so a worker that has used more than half of its own runs the next task of the chain on a
//! *spare* thread with a fresh stack, and sleeps until it has. The spare thread acts for the worker:
//! it counts in the same lane and shows its tasks at the same post, one of the two at a time. So at
//! most as many threads run as the pool has, however many have to wait for them.
//!
//! # Circles
//!
//! A worker that must sleep looks first whether that would ever end: see `circles.rs`.

use super::{Acting, Post, STACK_BASE, address_of_stack, enter_thread};
use crate::pool::circles::Picture;
use crate::task::cell::TaskRef;
use crate::task::context::{Awaited, Circle, Worker, contained};
use crate::task::home::Home;
use std::cell::Cell;
use std::rc::Rc;
use std::thread;

impl Acting {
    /// Runs a task inside another one that waits for it.
    fn run_inside(&self, task: &TaskRef) {
        let core = &self.core;
        self.heed();
        // The task that waits for this one may wait for such a drop next.
        self.tend();
        let Some(claimed) = core.shared.queue.claim_one(self.lane(), task) else {
            return;
        };
        // It stays in the queue as a husk; its room, if that is counted, is given back with it.
        use crate::task::home::Host;
        let husks = core.home.ledger.book().count_husk();
        core.shared.left_queue(&core.home, husks);
        let post = self.post();
        let outer = post.slot.look().map(|task| (task, post.slot.since()));
        post.outer.lock().extend(outer.clone());
        claimed.run(self.lane(), &post.slot);
        if let Some((_, since)) = outer {
            post.slot.set_since(since);
            let popped = post.outer.lock().pop();
            drop(popped);
        }
    }

    /// Runs a task inside another one, on a fresh stack. False: there was none to be had.
    fn run_on_spare(&self, task: &TaskRef) -> bool {
        let acting = (self.core.clone(), self.lane, self.stop_with.clone());
        let task = task.clone();
        let name = thread::current().name().unwrap_or_default().to_owned();
        let builder = thread::Builder::new()
            .name(name)
            .stack_size(self.core.shared.stack_size);
        let spawned = builder.spawn(move || {
            let (core, lane, stop_with) = acting;
            let hooks = core.shared.hooks().unwrap_or_default();
            let acting = Rc::new(Acting::new(core.clone(), lane, stop_with));
            let _guard = enter_thread(Rc::clone(&acting));
            if let Some(hook) = &hooks.thread_start {
                contained(hook);
            }
            acting.run_inside(&task);
            if let Some(hook) = &hooks.thread_stop {
                contained(hook);
            }
        });
        // All foreign code is contained, so the thread ends without a panic.
        spawned.is_ok_and(|thread| thread.join().is_ok())
    }

    /// How much of this thread's stack is in use, in eighths.
    fn stack_eighths(&self) -> usize {
        let base = STACK_BASE.with(Cell::get);
        let used = base.abs_diff(address_of_stack());
        used.saturating_mul(8) / self.core.shared.stack_size.max(1)
    }
}

impl Worker for Acting {
    fn serves(&self, home: &Home) -> bool {
        std::ptr::eq(&*self.core.home, home)
    }

    fn help(&self, task: &TaskRef) -> Result<(), Circle> {
        let used = self.stack_eighths();
        if used < 4 || cfg!(loom) {
            self.run_inside(task);
            return Ok(());
        }
        if task.state().load().has_begun() || self.run_on_spare(task) {
            return Ok(());
        }
        if used < 6 {
            self.run_inside(task);
            return Ok(());
        }
        // Neither stack nor thread: to wait might be for ever, if all workers are here.
        Err(Circle(Vec::new()))
    }

    fn block(&self, awaited: Awaited, wait: &mut dyn FnMut()) -> Result<(), Circle> {
        let blocked = &self.core.shared.blocked;
        // To be dropped when the lock is not held.
        let stacks: Vec<_>;
        {
            let mut list = blocked.lock();
            stacks = self.core.shared.posts.iter().map(Post::shown).collect();
            if let Some(circle) = Picture::new(&list, &stacks).circle(self.lane, &awaited) {
                return Err(circle);
            }
            list.push((self.lane, awaited));
        }
        drop(stacks);
        wait();
        let removed = {
            let mut list = blocked.lock();
            let place = list.iter().position(|(lane, _)| *lane == self.lane);
            place.map(|place| list.swap_remove(place))
        };
        drop(removed);
        Ok(())
    }

    fn tend(&self) {
        let shared = &self.core.shared;
        if shared.has_graves() {
            shared.tend_graveyard();
        }
    }
}
