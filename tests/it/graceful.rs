//! A shutdown that grows stronger step by step, and waiting for those who were left.

use crate::common::*;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    Graceful, Shutdown, ShutdownReport, Step, StopEvent, StopReason, Stragglers, TaskHandle,
    ThreadPool,
};

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(2);

#[test]
fn what_drains_in_time_goes_no_further() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let tasks: Vec<_> = (0..100).map(|n| pool.submit(move |_| n)).collect();
        let ladder = Graceful::new()
            .drain(LONG)
            .cancel_pending(LONG)
            .stop_all(LONG);
        let report = pool.shutdown_graceful(ladder);
        assert!(report.is_final() && report.is_clean());
        assert_eq!(report.completed(), 100);
        let modes: Vec<_> = report.steps().iter().map(Step::mode).collect();
        assert_eq!(modes, [Shutdown::Drain]);
        assert!(tasks.into_iter().all(|task| task.join().is_ok()));
    });
}

#[test]
fn each_step_ends_what_it_can() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let gate = Gate::new();
        let polite = pool.submit(poll);
        let deaf = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        polite.wait_started();
        deaf.wait_started();
        let pending: Vec<_> = (0..10).map(|_| pool.submit(|_| ())).collect();
        let ladder = Graceful::new()
            .drain(SHORT)
            .cancel_pending(SHORT)
            .stop_all(Duration::from_millis(200));
        let began = Instant::now();
        let report = pool.shutdown_graceful(ladder);
        assert!(began.elapsed() >= 2 * SHORT);
        let steps = report.steps();
        let modes: Vec<_> = steps.iter().map(Step::mode).collect();
        assert_eq!(
            modes,
            [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll]
        );
        assert!(steps[0].took() >= SHORT && steps[1].began() >= SHORT);
        assert!(steps[2].began() >= steps[1].began() + steps[1].took());
        let ended: Vec<_> = steps
            .iter()
            .map(|step| (step.completed(), step.never_started(), step.cancelled()))
            .collect();
        assert_eq!(ended, [(0, 0, 0), (0, 10, 0), (0, 0, 1)]);
        assert_eq!(report.stragglers().len(), 1);
        assert!(pending.iter().all(TaskHandle::is_done));
        assert_eq!(
            polite.outcome().cause().unwrap().reason,
            StopReason::Shutdown
        );
        gate.open();
        let last = report.into_stragglers().wait();
        assert!(last.is_final());
        assert_eq!((last.completed(), last.steps().len()), (1, 3));
    });
}

/// The event is set before the shutdown begins, at any moment of that, or when it has gone to sleep.
#[test]
fn who_is_in_a_hurry_waits_no_longer() {
    hurry(|shutting, hurry| {
        hurry.set();
        thread::spawn(shutting)
    });
    hurry(|shutting, hurry| {
        let shutting = thread::spawn(shutting);
        hurry.set();
        shutting
    });
    #[cfg(target_os = "linux")]
    hurry(|shutting, hurry| {
        let shutting = crate::blocked::spawn_blocked(shutting);
        hurry.set();
        shutting
    });
}

type Shutting = Box<dyn FnOnce() -> ShutdownReport + Send>;

fn hurry(set: fn(Shutting, &StopEvent) -> thread::JoinHandle<ShutdownReport>) {
    finishes(move || {
        let pool = Arc::new(ThreadPool::new(1));
        let gate = Gate::new();
        let deaf = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        deaf.wait_started();
        let hurry = StopEvent::new();
        let ladder = Graceful::new()
            .drain(LONG)
            .cancel_pending(LONG)
            .stop_all(LONG);
        let ladder = ladder.give_up_on(&hurry);
        let shutting = {
            let pool = Arc::clone(&pool);
            move || pool.shutdown_graceful(ladder)
        };
        let report = set(Box::new(shutting), &hurry).join().unwrap();
        assert_eq!(report.running(), 1);
        // The strongest one has been begun all the same.
        assert_eq!(report.mode(), Some(Shutdown::StopAll));
        assert!(deaf.stop_event().is_set());
        gate.open();
    });
}

#[test]
fn without_steps_everything_is_stopped_and_nobody_waited_for() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let polite = pool.submit(poll);
        polite.wait_started();
        let report = pool.shutdown_graceful(Graceful::new());
        assert_eq!(report.mode(), Some(Shutdown::StopAll));
        polite.wait();
    });
}

#[test]
fn from_inside_it_begins_and_returns() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let inner = Arc::clone(&pool);
        let task = pool.submit(move |_| {
            let report = inner.shutdown_graceful(Graceful::new().drain(LONG));
            report.running()
        });
        assert_eq!(task.join().unwrap(), 1);
        assert!(pool.shutdown(Shutdown::Drain).is_final());
    });
}

/// One thread has ended, and the other one is about to: that is no reason to go on to the next step.
#[test]
fn a_step_is_not_over_before_the_last_thread_has_ended() {
    finishes(|| {
        for _ in 0..20 {
            let (ending, end) = (Gate::new(), Gate::new());
            let pool = ThreadPool::builder().threads(2).on_thread_stop({
                let (ended, ending, end) =
                    (AtomicUsize::new(0), Arc::clone(&ending), Arc::clone(&end));
                move || {
                    if ended.fetch_add(1, SeqCst) == 1 {
                        ending.open();
                        end.pass();
                    }
                }
            });
            let pool = pool.build().unwrap();
            let opens = thread::spawn(move || {
                ending.pass();
                // Long enough for the first one to be gone.
                (0..200).for_each(|_| thread::yield_now());
                end.open();
            });
            let report = pool.shutdown_graceful(Graceful::new().drain(LONG).stop_all(LONG));
            assert_eq!(report.steps().len(), 1);
            assert!(report.is_final());
            opens.join().unwrap();
        }
    });
}

#[test]
fn stragglers_as_a_future_outlive_the_pool() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let gate = Gate::new();
        let deaf = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        deaf.wait_started();
        let report = pool.shutdown_timeout(Shutdown::StopAll, SHORT);
        assert_eq!(report.stragglers()[0].id(), deaf.id());
        pool.abandon();
        let stragglers = report.into_stragglers();
        assert_eq!(stragglers.tasks().len(), 1);
        let mut stragglers = stragglers.wait_timeout(SHORT).unwrap_err();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut stragglers).poll(&mut context).is_pending());
        let waiting = thread::spawn(move || pollster::block_on(stragglers));
        gate.open();
        let report = waiting.join().unwrap();
        assert_eq!((report.running(), report.completed()), (0, 1));
    });
}

/// A pool with a task that is stuck, and a report that names it; the pool is given up.
fn abandoned(pool: ThreadPool) -> (Arc<Gate>, Stragglers) {
    let gate = Gate::new();
    let deaf = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| gate.pass()
    });
    deaf.wait_started();
    let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::ZERO);
    pool.abandon();
    (gate, report.into_stragglers())
}

#[test]
fn who_polls_for_stragglers_is_woken_by_the_end_of_the_last_thread() {
    struct Opens(Arc<Gate>);
    impl Wake for Opens {
        fn wake(self: Arc<Self>) {
            self.0.open();
        }
    }
    finishes(|| {
        let (gate, mut stragglers) = abandoned(ThreadPool::new(1));
        let woken = Gate::new();
        let waker = Waker::from(Arc::new(Opens(Arc::clone(&woken))));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut stragglers).poll(&mut context).is_pending());
        gate.open();
        woken.pass();
        let Poll::Ready(report) = Pin::new(&mut stragglers).poll(&mut context) else {
            panic!("it was woken too early");
        };
        assert_eq!((report.running(), report.completed()), (0, 1));
    });
}

/// Before anybody hears of its end, and though somebody could still submit.
#[test]
fn the_hooks_of_an_abandoned_pool_go_with_its_last_thread() {
    finishes(|| {
        let drops = DropCounter::new();
        let pool = ThreadPool::builder().threads(1).on_thread_stop({
            let token = drops.token();
            move || assert!(!thread::panicking(), "{token:?}")
        });
        let pool = pool.build().unwrap();
        let submitter = pool.submitter();
        let (gate, stragglers) = abandoned(pool);
        assert_eq!(drops.count(), 0);
        gate.open();
        assert!(stragglers.wait().is_final());
        assert_eq!(drops.count(), 1);
        drop(submitter);
    });
}

#[test]
fn a_final_report_has_nobody_to_wait_for() {
    let pool = ThreadPool::new(1);
    pool.submit(|_| ()).wait();
    let report = pool.shutdown(Shutdown::Drain);
    let report = report.into_stragglers().wait_timeout(Duration::ZERO);
    assert_eq!(report.unwrap().completed(), 1);
}
