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
use crate::stop::node::Node;
use crate::task::cell::TaskRef;
use crate::task::context::{Awaited, Circle};
use crate::task::group::{group_of, opener_of};
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// A worker that sleeps, and for what.
pub(super) type Blocked = (usize, Awaited);

/// Where a task runs: the worker, and how far up its stack.
type Place = (usize, usize);

/// Who runs what, and waits for what, at one moment.
pub(super) struct Picture<'a> {
    blocked: &'a [Blocked],
    /// What each worker runs, each waiting for the one behind it.
    stacks: &'a [Vec<Shown>],
    places: BTreeMap<NonNull<Node>, Place>,
    /// The members, which run, of scopes that the task there has opened.
    members: BTreeMap<Place, Vec<Place>>,
    /// Which workers are known to go on.
    goes_on: Vec<bool>,
    /// Which tasks are known to end, by place.
    ends: Vec<Vec<bool>>,
}

fn key(task: &TaskRef) -> NonNull<Node> {
    task.node().as_ptr()
}

impl<'a> Picture<'a> {
    pub(super) fn new(blocked: &'a [Blocked], stacks: &'a [Vec<Shown>]) -> Self {
        let is_blocked = |lane| blocked.iter().any(|(other, _)| *other == lane);
        let mut picture = Picture {
            blocked,
            stacks,
            places: BTreeMap::new(),
            members: BTreeMap::new(),
            goes_on: (0..stacks.len()).map(|lane| !is_blocked(lane)).collect(),
            ends: stacks
                .iter()
                .map(|stack| vec![false; stack.len()])
                .collect(),
        };
        for (place, task) in all(stacks) {
            picture.places.insert(key(task), place);
        }
        for (place, task) in all(stacks) {
            let opener = opener_of(task).and_then(|opener| picture.places.get(&opener.as_ptr()));
            if let Some(opener) = opener {
                picture.members.entry(*opener).or_default().push(place);
            }
        }
        picture
    }

    /// The circle that the worker of this lane would close, were it to sleep until then.
    pub(super) fn circle(mut self, lane: usize, awaited: &Awaited) -> Option<Circle> {
        self.goes_on[lane] = false;
        loop {
            while self.find_ends() {}
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

    /// Finds more tasks that end. Says whether it has.
    fn find_ends(&mut self) -> bool {
        let mut found = false;
        for lane in 0..self.stacks.len() {
            if !self.goes_on[lane] {
                continue;
            }
            // A task ends after what is above it, and after the members of what it has opened.
            for at in (0..self.stacks[lane].len()).rev() {
                let members = self.members.get(&(lane, at));
                let ends = |(lane, at): &Place| self.ends[*lane][*at];
                if !members.is_none_or(|members| members.iter().all(ends)) {
                    break;
                }
                found |= !self.ends[lane][at];
                self.ends[lane][at] = true;
            }
        }
        found
    }

    /// Whether what somebody waits for is known to come.
    fn comes(&self, awaited: &Awaited) -> bool {
        match awaited {
            Awaited::AnyOf(tasks) => tasks.iter().any(|task| self.can_end(task)),
            Awaited::AllOf(_) => self.stuck(awaited).is_none(),
        }
    }

    fn can_end(&self, task: &TaskRef) -> bool {
        let place = self.places.get(&key(task));
        place.is_none_or(|(lane, at)| self.ends[*lane][*at])
    }

    /// One of those that somebody waits for who is not known to end.
    fn stuck<'s>(&'s self, awaited: &'s Awaited) -> Option<&'s TaskRef> {
        let is_stuck = |task: &&TaskRef| !self.can_end(task);
        match awaited {
            Awaited::AnyOf(tasks) => tasks.iter().find(is_stuck),
            Awaited::AllOf(group) => all(self.stacks).map(|(_, task)| task).find(|task| {
                group_of(task.node()).is_some_and(|other| other.same(group)) && is_stuck(task)
            }),
        }
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
            let place = self.places.get(&key(task)).copied();
            next = place
                .filter(|(other, _)| *other != lane)
                .and_then(|place| self.stuck_behind(place));
        }
        Circle(ids)
    }

    /// One for whom the task there waits, and who is not known to end.
    fn stuck_behind(&self, (lane, at): Place) -> Option<&TaskRef> {
        let blocked = self.blocked.iter().find(|(other, _)| *other == lane);
        let awaited = blocked.and_then(|(_, awaited)| self.stuck(awaited));
        let members = self.members.range((lane, at)..(lane + 1, 0));
        let mut members = members.flat_map(|(_, members)| members);
        let mut member = || members.find(|(lane, at)| !self.ends[*lane][*at]);
        awaited.or_else(|| member().map(|(lane, at)| &self.stacks[*lane][*at].0))
    }
}

/// All tasks that run, and where.
fn all(stacks: &[Vec<Shown>]) -> impl Iterator<Item = (Place, &TaskRef)> {
    let stacks = stacks.iter().enumerate();
    stacks.flat_map(|(lane, stack)| {
        let tasks = stack.iter().enumerate();
        tasks.map(move |(at, (task, _))| ((lane, at), task))
    })
}
