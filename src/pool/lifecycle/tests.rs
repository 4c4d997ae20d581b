//! What the end of a pool promises, looked at from inside: to come upon it from outside takes luck.

use super::super::ThreadPool;
use super::super::queue::tests::lengths;
use super::super::shared::tests::core;
use super::*;
use crate::stop::StopReason;
use crate::stop::listeners::Listen;
use crate::stop::parker::Parker;
use crate::stop::wait::Registration;
use crate::sync::Arc;
use crate::task::group::GroupRef;
use std::panic::Location;
use std::sync::mpsc;

fn cause() -> StopCause {
    StopCause::now(StopReason::Shutdown)
}

/// As when it is stopped with its group between its admission and its push, and the workers end in between.
#[test]
fn a_task_that_was_doomed_before_it_is_pushed_does_not_stay_in_a_pool_that_has_ended() {
    let core = core(1);
    core.submit(None, (), |_| ()).cancel();
    core.begin_and_bury(Shutdown::Drain, &cause());
    assert_eq!(lengths(&core.shared.queue), (0, 1));
    core.pushed_while_closing();
    assert_eq!(lengths(&core.shared.queue), (0, 0));
}

/// Or nobody would come to drop it.
#[test]
fn nothing_is_left_to_a_pool_without_threads() {
    let core = core(1);
    let (home, shared) = (core.node(), &core.shared);
    let scope = || {
        GroupRef::new(
            Sort::Outside,
            home.clone(),
            Vec::new(),
            None,
            Location::caller(),
        )
    };
    shared.dig_for_scopes(vec![scope()]);
    assert!(!shared.has_graves());
    shared.thread_started();
    shared.dig_for_scopes(vec![scope()]);
    assert!(shared.has_graves());
    shared.thread_ended(&core.home);
    assert!(!shared.has_graves());
}

#[test]
fn a_pool_without_threads_listens_to_nobody() {
    let core = core(1);
    let event = StopEvent::new();
    let listener: Arc<dyn Listen> = Arc::new(Parker::new());
    let keep = || {
        let node = event.node().unwrap();
        let registration = Registration::on_chain(node, &listener).unwrap();
        core.shared.keep_registration(registration);
    };
    keep();
    assert_eq!(Arc::strong_count(&listener), 1);
    core.shared.thread_started();
    keep();
    assert_eq!(Arc::strong_count(&listener), 2);
    core.shared.thread_ended(&core.home);
    assert_eq!(Arc::strong_count(&listener), 1);
}

/// Whoever was let in before the door was closed, and pushes when it has been, does the closer's work: that
/// of its mode.
#[test]
fn members_of_a_scope_stay_pending_when_somebody_pushes_while_what_is_pending_is_cancelled() {
    let pool = ThreadPool::new(1);
    let submitter = pool.submitter();
    let (opened, is_opened) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let opener = pool.submit(move |_| {
        let scope = submitter.scope(|scope| {
            let early = scope.submit(|_| 1);
            opened.send(()).unwrap();
            may_go_on.recv().unwrap();
            let late: Vec<_> = (2..5).map(|n| scope.submit(move |_| n)).collect();
            opened.send(()).unwrap();
            may_go_on.recv().unwrap();
            let tasks = [early].into_iter().chain(late);
            tasks.map(|task| task.join().unwrap()).sum::<i32>()
        });
        scope.unwrap()
    });
    is_opened.recv().unwrap();
    pool.core.begin_and_bury(Shutdown::CancelPending, &cause());
    pool.core.pushed_while_closing();
    let (front, _) = lengths(&pool.core.shared.queue);
    go_on.send(()).unwrap();
    is_opened.recv().unwrap();
    // To take the queue apart for each of them would take ever longer.
    assert_eq!(lengths(&pool.core.shared.queue), (front, 3));
    go_on.send(()).unwrap();
    assert_eq!(opener.join().unwrap(), 1 + 2 + 3 + 4);
}
