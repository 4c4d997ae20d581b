//! Many tasks of one home at once, doomed or handed back by who stops a pool or a group, and what is then done with those
//! that were doomed. The book's lock is held for some at a time.

use super::doom::Doomed;
use super::end::{entry_of_doomed, record};
use super::write_cause;
use crate::report::TaskStatus;
use crate::stop::StopCause;
use crate::stop::timer::on_timer_thread;
use crate::task::cell::TaskRef;
use crate::task::group::{GroupRef, group_of};
use crate::task::home::Home;
use crate::task::state::{Cancel, Word};

/// Dooms those of the tasks of one home that are still pending. Says how many they were, and gives
/// those that have somebody to be told, or a closure to be dropped; and the others are added to `others`.
pub(crate) fn doom_all(
    home: &Home,
    tasks: Vec<TaskRef>,
    cause: &StopCause,
    others: &mut Vec<TaskRef>,
) -> (usize, Vec<Doomed>) {
    let mut count = 0;
    let mut doomed = Vec::new();
    // Some at a time: what is done to a task first and last is then done while it is in the cache.
    let mut some: Vec<(TaskRef, Word)> = Vec::with_capacity(AT_A_TIME);
    let mut tasks = tasks.into_iter();
    loop {
        {
            let mut book = home.ledger.book();
            let mut any = false;
            for task in tasks.by_ref().take(AT_A_TIME) {
                any = true;
                if task.state().load().is_taken() {
                    // In a run that a worker shows still: not this pool's any more.
                    others.push(task);
                } else if let Cancel::NeverStarted(before) = task.state().cancel() {
                    write_cause(&task, before, cause);
                    book.never_started(task.id(), || entry_of_doomed(&task));
                    count += 1;
                    some.push((task, before));
                } else {
                    others.push(task);
                }
            }
            if !any {
                return (count, doomed);
            }
        }
        // Nobody listens to those that are dropped here, so it runs no foreign code, though the pool may hold a
        // lock.
        for (task, before) in some.drain(..) {
            record(&task, TaskStatus::NeverStarted, None);
            doomed.extend(Doomed { task, before }.with_duties());
        }
    }
}

/// Hands back those of the tasks of one home that are still pending; the others are added to `others`.
pub(crate) fn take_all(
    home: &Home,
    tasks: Vec<TaskRef>,
    others: &mut Vec<TaskRef>,
) -> Vec<TaskRef> {
    let mut taken = Vec::with_capacity(tasks.len());
    let mut tasks = tasks.into_iter();
    while tasks.len() > 0 {
        let mut book = home.ledger.book();
        for task in tasks.by_ref().take(AT_A_TIME) {
            if task.state().take() {
                book.taken(task.id());
                taken.push(task);
            } else {
                others.push(task);
            }
        }
    }
    taken
}

/// How many tasks are doomed in one hold of the book's lock.
const AT_A_TIME: usize = 64;

/// Those that belong to scopes, and the others.
pub(crate) fn part_scoped(doomed: Vec<Doomed>) -> (Vec<Doomed>, Vec<Doomed>) {
    let is_scoped = |each: &Doomed| group_of(each.task.node()).is_some_and(|it| it.is_scope());
    doomed.into_iter().partition(is_scoped)
}

/// Gives closures that belong to scopes to whoever closes these.
pub(crate) fn leave_to_scopes(scoped: Vec<Doomed>) {
    for each in scoped {
        if let Some(scope) = group_of(each.task.node()).cloned() {
            scope.leave(each);
        }
    }
}

/// The groups to which some of these belong.
pub(crate) fn groups_of(doomed: &[Doomed]) -> Vec<GroupRef> {
    let mut groups: Vec<GroupRef> = Vec::new();
    for group in doomed.iter().filter_map(|each| group_of(each.task.node())) {
        if !groups.iter().any(|known| known.same(group)) {
            groups.push(group.clone());
        }
    }
    groups
}

/// Drops these closures, or leaves that to the pool if this thread is not to run such code.
pub(in crate::task) fn bury_all(doomed: Vec<Doomed>) {
    for each in doomed {
        if on_timer_thread() {
            let task = each.task.clone();
            let home = task.home();
            home.host.leave(home, each);
        } else {
            each.drop_closure();
        }
    }
}
