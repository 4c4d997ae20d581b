//! Waits that could never end: of workers of one pool for each other.
//!
//! A worker that is about to sleep until a task ends looks first whether that could ever be. It asks which tasks
//! can still end, given who waits for what; and that is found from below: a worker that waits for nobody can go
//! on, a task can end if its worker can go on and all that it waits for can end, and so on until nothing more
//! is found. What is not found waits, over any number of others, for the asker.
//!
//! | waits | for |
//! |---|---|
//! | a worker that joins, or waits for several | one of these tasks |
//! | a worker that waits for a group | all of its members that run |
//! | a task that has opened a scope | all of its members that run, whether it has come to the scope's end or not |
//! | a task that waits, further up a worker's stack, for the one on top | all that is above it |
//!
//! A worker is added to the list of the blocked in the same hold of its lock in which it asks, so of several
//! that close a circle at the same moment one is last and finds it. A task that has not begun is taken for one
//! that can end.

use super::worker::Shown;
use crate::task::cell::TaskRef;
use crate::task::context::{Awaited, Circle};
use crate::task::group::{group_of, is_opener};

/// A worker that sleeps, and for what.
pub(super) type Blocked = (usize, Awaited);

/// Who runs what, and waits for what, at one moment.
pub(super) struct Picture<'a> {
    blocked: &'a [Blocked],
    /// What each worker runs, each waiting for the one behind it.
    stacks: &'a [Vec<Shown>],
    /// Which workers are known to go on.
    goes_on: Vec<bool>,
}

impl<'a> Picture<'a> {
    pub(super) fn new(blocked: &'a [Blocked], stacks: &'a [Vec<Shown>]) -> Self {
        let is_blocked = |lane| blocked.iter().any(|(other, _)| *other == lane);
        Picture {
            blocked,
            stacks,
            goes_on: (0..stacks.len()).map(|lane| !is_blocked(lane)).collect(),
        }
    }

    /// The circle that the worker of this lane would close, were it to sleep until then.
    pub(super) fn circle(mut self, lane: usize, awaited: &Awaited) -> Option<Circle> {
        self.goes_on[lane] = false;
        loop {
            if self.comes(awaited) {
                return None;
            }
            let more = self
                .blocked
                .iter()
                .filter(|(other, awaited)| !self.goes_on[*other] && self.comes(awaited));
            let more: Vec<_> = more.map(|(other, _)| *other).collect();
            if more.is_empty() {
                return Some(self.name(lane, awaited));
            }
            for other in more {
                self.goes_on[other] = true;
            }
        }
    }

    /// Whether what somebody waits for is known to come.
    fn comes(&self, awaited: &Awaited) -> bool {
        match awaited {
            Awaited::AnyOf(tasks) => tasks.iter().any(|task| self.can_end(task, 0)),
            Awaited::AllOf(_) => self.stuck(awaited).is_none(),
        }
    }

    /// One of those that somebody waits for who is not known to end.
    fn stuck<'s>(&'s self, awaited: &'s Awaited) -> Option<&'s TaskRef> {
        let is_stuck = |task: &&TaskRef| !self.can_end(task, 0);
        match awaited {
            Awaited::AnyOf(tasks) => tasks.iter().find(is_stuck),
            Awaited::AllOf(group) => self.running().find(|task| {
                group_of(task.node()).is_some_and(|other| other.same(group)) && is_stuck(task)
            }),
        }
    }

    fn running(&self) -> impl Iterator<Item = &TaskRef> {
        self.stacks.iter().flatten().map(|(task, _)| task)
    }

    /// The worker that runs the task, and what is above it on that worker's stack, itself first.
    fn place(&self, task: &TaskRef) -> Option<(usize, &[Shown])> {
        self.stacks.iter().enumerate().find_map(|(lane, stack)| {
            let at = stack.iter().position(|(other, _)| other.same(task))?;
            Some((lane, &stack[at..]))
        })
    }

    /// The members, which run, of scopes that the task has opened.
    fn members<'s>(&'s self, task: &'s TaskRef) -> impl Iterator<Item = &'s TaskRef> {
        self.running().filter(move |other| is_opener(task, other))
    }

    /// Whether the task is known to end.
    fn can_end(&self, task: &TaskRef, depth: usize) -> bool {
        let Some((lane, above)) = self.place(task) else {
            return true;
        };
        // Scopes lie in each other, so this ends; but what is seen moves on while it is looked at.
        if depth > self.stacks.iter().map(Vec::len).sum() {
            return true;
        }
        self.goes_on[lane]
            && above.iter().all(|(task, _)| {
                self.members(task)
                    .all(|member| self.can_end(member, depth + 1))
            })
    }

    /// The tasks of a circle.
    fn name(&self, lane: usize, awaited: &Awaited) -> Circle {
        let mut ids = Vec::new();
        let mut next = self.stuck(awaited);
        while let Some(task) = next {
            if ids.contains(&task.id()) {
                break;
            }
            ids.push(task.id());
            next = match self.place(task) {
                Some((other, _)) if other == lane => None,
                Some((other, above)) => {
                    let blocked = self.blocked.iter().find(|(it, _)| *it == other);
                    let awaited = blocked.and_then(|(_, awaited)| self.stuck(awaited));
                    let mut members = above.iter().flat_map(|(task, _)| self.members(task));
                    awaited.or_else(|| members.find(|member| !self.can_end(member, 0)))
                }
                None => None,
            };
        }
        Circle(ids)
    }
}
