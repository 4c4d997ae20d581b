//! The pool and the specification beside each other: after every step all that there is to be seen has to be the same.

use super::program::{Known, Program};
use super::spec::{Body, Counts, ScopeEnd, Spec, State, Task, place};
use crate::common::{comes, until};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use stoppable::{Shutdown, Stats, StopReason, TaskStatus};

impl Program {
    /// Lets the pool come to where the specification is, and compares all there is to be seen.
    pub(super) fn settle(&mut self) {
        loop {
            self.learn_of_children();
            match *self.spec.next() {
                [] => break,
                [only] => self.spec.start(only),
                ref several => {
                    // One that has ended has given its worker to another. What was executed has no
                    // handle to tell of it: each drops what it had captured.
                    let has_ended = |at: &&usize| self.known[**at].shared.captured.count() == 1;
                    let begun = || several.iter().filter(|at| self.known[**at].has_begun());
                    until(|| begun().next().is_some());
                    let found = begun().find(has_ended).or_else(|| begun().next());
                    self.spec.start(*found.unwrap());
                }
            }
        }
        for (at, known) in self.known.iter().enumerate() {
            let task = &self.spec.tasks[at];
            let begins = match task.state {
                State::Running => true,
                State::Ended(status) => status != TaskStatus::NeverStarted,
                State::Pending | State::Taken => false,
            };
            if begins {
                assert!(comes(|| known.has_begun()), "{at} does not begin: {task:?}");
            }
            assert!(known.shared.begun.load(Ordering::SeqCst) <= 1);
            assert_eq!(known.has_begun(), begins, "whether {at} has begun");
            if let Some(canceller) = &known.canceller {
                let status = match task.state {
                    State::Pending | State::Taken => TaskStatus::Pending,
                    State::Running => TaskStatus::Running,
                    State::Ended(status) => status,
                };
                let is = || canceller.status() == status;
                assert!(comes(is), "{at}: {:?}, not {:?}", canceller.status(), task);
            }
            let is_done = matches!(task.state, State::Ended(_));
            if is_done {
                let dropped = || known.shared.captured.count() == 1;
                until(|| known.is_left_to_workers || dropped());
                until(|| known.shared.told.lock().unwrap().len() == known.callbacks);
                let told = known.shared.told.lock().unwrap();
                assert!(told.iter().all(|told| State::Ended(*told) == task.state));
            } else {
                assert_eq!(known.shared.captured.count(), 0, "captures of {at}");
            }
            if let Some(handle) = &known.handle {
                let reads = self.spec.reads_set(task.event);
                let event = handle.stop_event();
                assert_eq!(event.peek(), reads.is_some(), "the event of {at}");
                assert_eq!(event.reason().as_ref(), reads, "why {at} is asked");
            }
        }
        let expected = self.spec.counts();
        let counts_are_there = || {
            let stats = self.pool.stats();
            same(&stats, &expected, self.refused_without_id)
        };
        // What no handle has shown may be counted later.
        until(counts_are_there);
        for (at, event) in &self.events {
            assert_eq!(event.is_set(), self.spec.reads_set(*at).is_some());
            assert_eq!(event.reason().as_ref(), self.spec.reads_set(*at));
        }
        for callback in &mut self.callbacks {
            callback.expected |=
                callback.guard.is_some() && event_is_set(&self.spec, callback.event);
            let runs = usize::from(callback.expected);
            until(|| callback.runs.load(Ordering::SeqCst) == runs);
        }
        for (scope, thread) in self.scopes.iter_mut().enumerate() {
            if let (Some(end), true) = (self.spec.scope_end(scope), thread.is_some()) {
                let result = thread.take().unwrap().join().unwrap();
                let real = match result {
                    Ok(Ok(())) => ScopeEnd::Whole,
                    Ok(Err(_)) => ScopeEnd::Stopped,
                    Err(_) => ScopeEnd::Panicked,
                };
                assert_eq!(real, end, "how the scope ended");
            }
        }
    }

    /// Tasks that tasks have submitted.
    fn learn_of_children(&mut self) {
        while let Some(task) = self.spec.tasks.get(self.known.len()) {
            let parent = &self.known[task.parent.expect("all others are known")].shared;
            until(|| parent.child.lock().unwrap().is_some());
            let (handle, shared) = parent.child.lock().unwrap().take().unwrap();
            self.known.push(Known {
                canceller: Some(handle.canceller()),
                id: Some(handle.id()),
                ..Known::of_shared(shared, Some(handle))
            });
        }
    }

    /// Ends it all, and reads the report.
    pub(super) fn finish(mut self) {
        for (at, task) in std::mem::take(&mut self.taken) {
            self.spec.let_go(at, false);
            drop(task);
            self.settle();
        }
        while let Some(at) = (0..self.known.len()).find(|at| self.is_held(*at)) {
            match self.spec.tasks[at].body {
                Body::Waits | Body::PanicsWhenAsked => {
                    self.cancel_at(at, &StopReason::Requested);
                }
                _ => self.open_at(at, true),
            }
            self.settle();
        }
        let report = self.pool.shutdown(Shutdown::Drain);
        let expected = self.spec.counts();
        assert!(report.is_final());
        assert!(same(&report.stats(), &expected, self.refused_without_id));
        for status in [
            TaskStatus::Completed,
            TaskStatus::Cancelled,
            TaskStatus::NeverStarted,
            TaskStatus::Panicked,
        ] {
            let tasks = self.spec.tasks.iter().zip(&self.known);
            let expected: BTreeSet<_> = tasks
                .filter(|(task, _)| !task.was_taken && !task.was_refused)
                .filter(|(task, _)| task.state == State::Ended(status))
                .filter_map(|(_, known)| known.id)
                .collect();
            let ids: Vec<_> = report.ids(status).collect();
            assert!(ids.is_sorted());
            assert_eq!(
                ids.into_iter().collect::<BTreeSet<_>>(),
                expected,
                "{status:?}"
            );
        }
        let ids = |which: fn(&Task) -> bool| {
            let tasks = self.spec.tasks.iter().zip(&self.known);
            tasks
                .filter(|(task, _)| which(task))
                .filter_map(|(_, known)| known.id)
                .collect::<Vec<_>>()
        };
        let mut taken = ids(|task| task.was_taken);
        taken.sort_unstable();
        assert_eq!(report.taken_ids().collect::<Vec<_>>(), taken);
        let refused = ids(|task| task.was_refused);
        assert_eq!(report.refused_ids().collect::<Vec<_>>(), refused);
        drop(report);
        for known in &self.known {
            // It may have ended without a look at it.
            known.shared.target.lock().unwrap().take();
        }
        for (task, known) in self.spec.tasks.iter().zip(&mut self.known) {
            known.handle = None;
            let returned = matches!(
                task.state,
                State::Ended(TaskStatus::Completed | TaskStatus::Cancelled)
            );
            let count = || known.shared.returned.count();
            until(|| count() == usize::from(returned));
            assert_eq!(known.shared.captured.count(), 1);
        }
    }

    /// Whether it has not ended, and something is to be done about that.
    fn is_held(&self, at: usize) -> bool {
        let task = &self.spec.tasks[at];
        let waits = matches!(task.body, Body::Waits | Body::PanicsWhenAsked);
        !matches!(task.state, State::Ended(_))
            && (self.spec.is_shut(at) && task.body != Body::Quick || waits)
    }
}

fn event_is_set(spec: &Spec, event: usize) -> bool {
    spec.reads_set(event).is_some()
}

fn same(stats: &Stats, expected: &Counts, refused_without_id: u64) -> bool {
    let law = stats.pending + stats.running + stats.done() + stats.taken;
    assert_eq!(stats.submitted, law, "the law");
    let ended = [
        TaskStatus::Completed,
        TaskStatus::Cancelled,
        TaskStatus::NeverStarted,
        TaskStatus::Panicked,
    ];
    let of = |status| match status {
        TaskStatus::Completed => stats.completed,
        TaskStatus::Cancelled => stats.cancelled,
        TaskStatus::NeverStarted => stats.never_started,
        _ => stats.panicked,
    };
    let ended = ended.map(|status| (of(status), expected.ended[place(status)]));
    ended.iter().all(|(real, expected)| real == expected)
        && stats.submitted == expected.submitted
        && stats.pending == expected.pending
        && stats.running == expected.running
        && stats.taken == expected.taken
        && stats.refused == expected.refused + refused_without_id
}
