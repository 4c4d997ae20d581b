//! What a pool records for its picture.

use crate::common::*;
use std::sync::Arc;
use stoppable::{Shutdown, StopEvent, TaskStatus, ThreadPool, TimelineTask};

#[test]
fn every_task_is_recorded_once_with_its_times_in_order() {
    finishes(|| {
        let pool = ThreadPool::builder().threads(2).timeline(1_000);
        let pool = pool.build().unwrap();
        let gate = Gate::new();
        let deaf = pool.task().name("deaf").submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        deaf.wait_started();
        let seen = pool.submit(poll);
        seen.wait_started();
        seen.cancel();
        seen.wait();
        pool.submit_all((0..70).map(|_| |_: &_| ()))
            .into_iter()
            .for_each(|task| task.join().unwrap());
        let submitter = pool.submitter();
        pool.submit(move |_| submitter.submit(|_| ()).wait()).wait();
        pool.submit(|_| quiet_panic("x")).wait();
        let live = pool.timeline().unwrap();
        let running = live
            .tasks()
            .iter()
            .find(|task| task.name() == Some("deaf"))
            .unwrap();
        assert_eq!(
            (running.status(), running.ended()),
            (TaskStatus::Running, None)
        );
        gate.open();
        deaf.wait();
        let stuck = pool.submit(StopEvent::wait);
        let other = pool.submit(StopEvent::wait);
        stuck.wait_started();
        other.wait_started();
        let never: Vec<_> = (0..5).map(|_| pool.submit(|_| ())).collect();
        never[0].cancel();
        let report = pool.shutdown(Shutdown::StopAll);
        let timeline = pool.timeline().unwrap();
        assert_eq!(timeline.tasks().len() as u64, report.submitted());
        assert_eq!(timeline.left_out(), 0);
        for task in timeline.tasks() {
            assert_eq!(Some(task.status()), report.status_of(task.id()));
            let times = [task.submitted(), task.started(), task.ended()];
            let known: Vec<_> = times.into_iter().flatten().collect();
            assert!(known.is_sorted(), "{task:?}");
            assert!(known.iter().all(|time| *time <= timeline.length()));
            assert_eq!(
                task.lane().is_none(),
                task.status() == TaskStatus::NeverStarted
            );
            assert!(
                task.asked() <= task.seen() || task.seen().is_none(),
                "{task:?}"
            );
        }
        // One waited for another one inside of its worker.
        let nested = timeline.tasks().iter().filter(|task| task.depth() > 0);
        assert!(nested.map(TimelineTask::depth).eq([1]));
        assert_eq!(timeline.threads(), 2);
        assert!(timeline.svg().contains("deaf") && timeline.trace_json().contains("deaf"));
    });
}

#[test]
fn what_is_too_much_is_left_out_and_counted() {
    let pool = ThreadPool::builder()
        .threads(1)
        .timeline(10)
        .build()
        .unwrap();
    for _ in 0..30 {
        pool.submit(|_| ()).wait();
    }
    let report = pool.shutdown(Shutdown::Drain);
    let timeline = pool.timeline().unwrap();
    assert_eq!((timeline.tasks().len(), timeline.left_out()), (10, 20));
    assert_eq!(report.completed(), 30);
}

#[test]
fn a_pool_that_is_not_asked_to_records_nothing() {
    assert!(ThreadPool::new(1).timeline().is_none());
}
