//! What a group promises its members, looked at from inside.

use super::members::is_to_run;
use super::*;
use crate::report::TaskStatus;
use crate::stop::node::LISTENED;
use crate::task::context::{self, Awaited, Circle, Worker};
use crate::task::home::{Home, HomeRef};
use crate::task::life::first_word;
use crate::task::samples::{begin, cause, end, group, home, take, task, task_of};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// A member that is pending and in no queue.
fn member(home: &HomeRef, group: &GroupRef) -> TaskRef {
    task_of(home, group.node(), first_word(true, false), (), |_| {})
}

fn kept(group: &GroupRef) -> usize {
    group.state.lock().tasks.len()
}

/// A worker of every pool, that counts how often it has to find out whether a wait could never end.
#[derive(Default)]
struct Counting(Cell<usize>);

impl Worker for Counting {
    fn serves(&self, _home: &Home) -> bool {
        true
    }

    fn help(&self, _task: &TaskRef) -> Result<(), Circle> {
        Ok(())
    }

    fn block(&self, _awaited: Awaited, wait: &mut dyn FnMut()) -> Result<(), Circle> {
        self.0.set(self.0.get() + 1);
        wait();
        Ok(())
    }

    fn tend(&self) {}
}

#[test]
fn who_waits_runs_what_is_pending_and_not_handed_back() {
    let home = home();
    let (pending, begun, taken) = (task(&home), task(&home), task(&home));
    begin(&begun);
    take(&taken);
    assert_eq!(
        [&pending, &begun, &taken].map(is_to_run),
        [true, false, false]
    );
    end(&begun);
    assert!(!is_to_run(&begun));
}

/// A list that grows with the members that have begun would grow for ever.
#[test]
fn members_that_have_begun_are_not_kept_for_long() {
    let home = home();
    let group = group(Sort::Owned, home.node(), Vec::new());
    for _ in 0..10 * FEW {
        let member = member(&home, &group);
        assert!(group.add(&member));
        begin(&member);
        assert!(kept(&group) <= FEW);
        end(&member);
    }
    // It and those that it keeps would keep each other.
    group.forget();
}

/// Each sweep looks at all that are kept, so it has to be worth it.
#[test]
fn members_that_are_pending_are_kept_and_seldom_looked_at() {
    let home = home();
    let group = group(Sort::Owned, home.node(), Vec::new());
    let mut sweeps = 0;
    let mut swept_at = group.state.lock().sweep_at;
    assert_eq!(swept_at, FEW);
    for count in 1..=8 * FEW {
        assert!(group.add(&member(&home, &group)));
        assert_eq!(kept(&group), count);
        let at = group.state.lock().sweep_at;
        if at != swept_at {
            assert_eq!(at, 2 * swept_at);
            (swept_at, sweeps) = (at, sweeps + 1);
        }
    }
    assert_eq!(sweeps, 3);
    // As above.
    group.forget();
}

#[test]
fn a_group_is_under_others_if_these_may_be_set_alone() {
    let home = home();
    let is_under = |first: &NodeRef, others| group(Sort::Owned, first, others).is_under_others();
    assert!(!is_under(home.node(), Vec::new()));
    assert!(is_under(home.node(), vec![NodeRef::plain(None)]));
    assert!(is_under(task(&home).node(), Vec::new()));
}

#[test]
fn a_group_that_is_opened_under_a_set_event_starts_nothing() {
    let (home, event) = (home(), NodeRef::plain(None));
    let group = group(Sort::Owned, home.node(), vec![event.clone()]);
    assert!(event.raise(&cause(StopReason::Requested)));
    let open = group.open();
    let member = member(&home, &group);
    assert!(!group.add(&member));
    assert_eq!(member.state().load().status(), TaskStatus::NeverStarted);
    drop(open);
}

/// A pool that stops takes everything out of its queue, and who stops a group dooms those that are nested in it.
#[test]
fn a_group_listens_no_further_than_to_the_next_one_and_not_to_its_home() {
    let (home, above) = (home(), NodeRef::plain(None));
    let outer = group(Sort::Outside, home.node(), vec![above.clone()]);
    let opener = member(&home, &outer);
    let inner = group(Sort::Inside, opener.node(), Vec::new());
    let listens_to = |node: &NodeRef| node.word().load(Ordering::Relaxed) & LISTENED != 0;
    let open = inner.open();
    assert!(listens_to(opener.node()));
    assert!(
        ![outer.node(), home.node(), &above]
            .map(listens_to)
            .contains(&true)
    );
    drop(open);
    let open = outer.open();
    assert!(listens_to(&above) && !listens_to(home.node()));
    drop(open);
}

#[test]
fn a_member_that_fails_stops_the_others_when_it_has_ended() {
    let home = home();
    let group = group(Sort::Outside, home.node(), Vec::new());
    let members = [(); 3].map(|()| {
        group.enter();
        member(&home, &group)
    });
    members.iter().for_each(begin);
    group.fail();
    assert!(!group.node().reads_set());
    end(&members[0]);
    give_up(&members[0]);
    let cause = group.node().cause().expect("it is stopped");
    assert_eq!(cause.reason, StopReason::SiblingFailed);
    for member in &members[1..] {
        end(member);
        give_up(member);
    }
    assert!(group.is_empty());
    assert_eq!(group.node().cause(), Some(cause));
}

#[test]
fn who_looks_sees_that_no_member_is_left() {
    let home = home();
    let group = group(Sort::Outside, home.node(), Vec::new());
    assert!(group.look());
    group.enter();
    assert!(!group.look());
}

/// The end of a scope is a part of all waits for the task that has opened it, and refused with these.
#[test]
fn the_wait_for_an_owned_group_alone_may_be_refused() {
    let home = home();
    for (sort, asked) in [(Sort::Inside, 0), (Sort::Outside, 0), (Sort::Owned, 1)] {
        let worker = Rc::new(Counting::default());
        let guard = context::work_for(worker.clone());
        let group = group(sort, home.node(), Vec::new());
        group.enter();
        let is_empty = group.wait(true, Some(Instant::now()));
        assert!(matches!(is_empty, Ok(false)));
        assert_eq!(worker.0.get(), asked, "{sort:?}");
        drop(guard);
    }
}

#[test]
fn who_helps_no_more_is_not_told_of_new_members() {
    let home = home();
    let group = group(Sort::Outside, home.node(), Vec::new());
    group.enter();
    for helps in [true, false, true] {
        assert!(!group.sleep(helps, Some(Instant::now())));
        assert_eq!(group.state.lock().helpers, 0);
    }
}
