//! Handles as futures: under two runtimes, and under wakers written by hand.

use crate::common::{DropCounter, Gate, OnDrop, Stuck, finishes, quiet_panic, until};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use stoppable::{
    CancelOutcome, Shutdown, StopEvent, StopReason, TaskError, TaskErrorKind, TaskHandle,
    TaskStatus, ThreadPool,
};

/// Runs a future under each runtime.
fn everywhere<F>(make: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    finishes(move || {
        pollster::block_on(make());
        runtime().block_on(make());
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        threads.block_on(async { tokio::spawn(make()).await.unwrap() });
    });
}

/// A runtime on this thread, with time.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Counts {
    fn new() -> (Arc<Counts>, Waker) {
        let counts = Arc::<Counts>::default();
        (Arc::clone(&counts), Waker::from(counts))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn is_pending<F: Future + Unpin>(future: &mut F, waker: &Waker) -> bool {
    poll(future, waker).is_pending()
}

#[test]
fn it_gives_what_a_join_gives() {
    everywhere(|| async {
        let stuck = Stuck::new(1);
        let pool = &stuck.pool;
        let completed = pool.submit(|_| 7);
        let cancelled = pool.submit(|stop| {
            stop.set();
            stop.wait();
        });
        let panicked: TaskHandle<()> = pool.task().name("p").submit(|_| quiet_panic("boom"));
        let never = pool.submit(|_| ());
        never.cancel();
        assert!(never.await.unwrap_err().is_never_started());
        stuck.release();
        assert_eq!(completed.await.unwrap(), 7);
        let error = cancelled.await.unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Cancelled);
        assert_eq!(error.cause().unwrap().reason, StopReason::Requested);
        let error: TaskError = panicked.await.unwrap_err();
        assert_eq!(error.to_string(), "task #3 \"p\" panicked: boom");
        let payload = error.into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"boom"));
        pool.shutdown(Shutdown::Drain);
        let refused = pool.submit(|_| ()).await.unwrap_err();
        assert_eq!(refused.cause().unwrap().reason, StopReason::Shutdown);
    });
}

#[test]
fn it_is_awaited_before_and_after_the_end() {
    everywhere(|| async {
        let pool = ThreadPool::new(2);
        for n in 0..500 {
            let task = pool.submit(move |_| n);
            if n % 2 == 0 {
                task.wait();
            }
            assert_eq!(task.await.unwrap(), n);
            assert_eq!(pool.submit(|_| 1).cancel_on_drop().await.unwrap(), 1);
        }
    });
}

#[test]
fn thousands_at_once() {
    finishes(|| {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let stuck = Stuck::new(2);
        let tasks = stuck
            .pool
            .submit_all((0..2_000_u64).map(|n| move |_: &StopEvent| n));
        let sum = threads.block_on(async {
            let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
            stuck.release();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap().unwrap();
            }
            sum
        });
        assert_eq!(sum, 1_999_000);
    });
}

#[test]
fn of_two_handles_the_first_to_end_is_selected() {
    for threads in [1, 2] {
        everywhere(move || async move {
            let pool = ThreadPool::new(threads);
            let gate = Gate::new();
            let mut quick = pool.submit(|_| 1);
            quick.wait();
            let mut slow = pool.submit({
                let gate = Arc::clone(&gate);
                move |_| {
                    gate.pass();
                    2
                }
            });
            let first = tokio::select! {
                result = &mut slow => result,
                result = &mut quick => result,
            };
            assert_eq!(first.unwrap(), 1);
            // The other is as good as it was.
            assert!(!slow.is_done());
            gate.open();
            assert_eq!(slow.await.unwrap(), 2);
        });
    }
}

#[test]
fn in_a_loop_each_handle_is_selected_once() {
    everywhere(|| async {
        let stuck = Stuck::new(1);
        let mut left = [true; 2];
        let mut a = stuck.pool.submit(|_| 0);
        let mut b = stuck.pool.submit(|_| 1);
        stuck.release();
        while left != [false; 2] {
            let ended = tokio::select! {
                result = &mut a, if left[0] => result,
                result = &mut b, if left[1] => result,
            };
            left[ended.unwrap()] = false;
        }
    });
}

#[test]
fn a_timeout_of_a_runtime_stops_nothing() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let mut task = stuck.pool.submit(|_| 7);
        runtime().block_on(async {
            let soon = Duration::from_millis(2);
            let timed_out = tokio::time::timeout(soon, &mut task).await;
            assert!(timed_out.is_err() && task.is_pending());
            stuck.release();
            assert_eq!(task.await.unwrap(), 7);
        });
    });
}

#[test]
fn a_timeout_drops_a_handle_that_cancels_on_drop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let running = pool.submit(StopEvent::wait);
        let pending = pool.submit(|_| ());
        let cancellers = [running.canceller(), pending.canceller()];
        running.wait_started();
        runtime().block_on(async {
            for task in [pending, running] {
                let soon = Duration::from_millis(2);
                let task = task.cancel_on_drop();
                assert!(tokio::time::timeout(soon, task).await.is_err());
            }
        });
        until(|| cancellers.iter().all(stoppable::Canceller::is_done));
        assert_eq!(cancellers[0].status(), TaskStatus::Cancelled);
        assert_eq!(cancellers[1].status(), TaskStatus::NeverStarted);
        let report = pool.shutdown(Shutdown::Drain);
        for detail in report.details() {
            assert_eq!(detail.cause().unwrap().reason, StopReason::Dropped);
        }
    });
}

/// The drop of an aborted task of the runtime drops the handle in it.
#[test]
fn an_aborted_task_of_a_runtime_lets_go_of_its_handle() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let submit = || {
            let token = drops.token();
            stuck.pool.submit(move |_| token)
        };
        let (detached, cancelled) = (submit(), submit());
        let cancellers = [detached.canceller(), cancelled.canceller()];
        runtime().block_on(async {
            let tasks = [
                tokio::spawn(async move { drop(detached.await) }),
                tokio::spawn(async move { drop(cancelled.cancel_on_drop().await) }),
            ];
            tokio::task::yield_now().await;
            for task in tasks {
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            }
        });
        assert_eq!(drops.count(), 1, "its closure");
        assert_eq!(cancellers[1].status(), TaskStatus::NeverStarted);
        assert_eq!(cancellers[0].status(), TaskStatus::Pending);
        stuck.release();
        stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(cancellers[0].status(), TaskStatus::Completed);
        assert_eq!(drops.count(), 2, "its value");
    });
}

#[test]
fn async_code_and_tasks_talk_both_ways() {
    everywhere(|| async {
        let pool = ThreadPool::new(1);
        let (tell, told) = tokio::sync::oneshot::channel();
        let task = pool.submit(move |_| {
            let inner = told.blocking_recv().unwrap();
            // A handle of another pool, awaited on a worker.
            pollster::block_on::<TaskHandle<u32>>(inner).unwrap()
        });
        let other = ThreadPool::new(1);
        assert!(tell.send(other.submit(|_| 5)).is_ok());
        assert_eq!(task.await.unwrap(), 5);
    });
}

#[test]
fn it_is_woken_once_by_each_end() {
    finishes(|| {
        for cancel in [false, true] {
            let stuck = Stuck::new(1);
            let mut task = stuck.pool.submit(|_| 7);
            let (counts, waker) = Counts::new();
            for _ in 0..5 {
                assert!(is_pending(&mut task, &waker));
            }
            drop(waker);
            assert_eq!((counts.get(), Arc::strong_count(&counts)), (0, 2));
            if cancel {
                task.cancel();
                assert_eq!(counts.get(), 1, "before the cancel returned");
            }
            stuck.release();
            stuck.pool.shutdown(Shutdown::Drain);
            assert_eq!((counts.get(), Arc::strong_count(&counts)), (1, 1));
            let waker = Waker::from(Arc::clone(&counts));
            let Poll::Ready(result) = poll(&mut task, &waker) else {
                panic!("it has ended");
            };
            assert_eq!(result.is_err(), cancel);
            assert_eq!(counts.get(), 1);
        }
    });
}

#[test]
fn the_start_wakes_nobody() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let gate = Gate::new();
        let mut task = stuck.pool.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        let (counts, waker) = Counts::new();
        assert!(is_pending(&mut task, &waker));
        stuck.release();
        task.wait_started();
        // Asking it to stop is no end either.
        assert_eq!(task.cancel(), CancelOutcome::Requested);
        assert_eq!(counts.get(), 0);
        assert!(is_pending(&mut task, &waker));
        gate.open();
        until(|| counts.get() == 1);
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let mut task = stuck.pool.submit(|_| ());
        let (stale, first) = Counts::new();
        let (fresh, second) = Counts::new();
        assert!(is_pending(&mut task, &first));
        assert!(is_pending(&mut task, &second));
        drop(first);
        assert_eq!(Arc::strong_count(&stale), 1, "the stale one was let go");
        // On another thread, and back.
        let mut task = thread::spawn({
            let waker = Waker::from(Arc::clone(&stale));
            move || {
                assert!(is_pending(&mut task, &waker));
                task
            }
        })
        .join()
        .unwrap();
        assert!(is_pending(&mut task, &second));
        task.cancel();
        assert_eq!((stale.get(), fresh.get()), (0, 1));
        assert_eq!(Arc::strong_count(&stale), 1);
    });
}

#[test]
fn a_dropped_future_leaves_nothing_and_wakes_nobody() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let (counts, waker) = Counts::new();
        for _ in 0..100 {
            let token = drops.token();
            let mut task = stuck.pool.submit(move |_| token);
            assert!(is_pending(&mut task, &waker));
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&counts), 1);
        assert_eq!(drops.count(), 0, "they are detached");
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!((report.completed(), drops.count()), (101, 100));
        assert_eq!(counts.get(), 0);
    });
}

/// A handle that was polled is a handle still.
#[test]
fn after_polls_it_can_be_joined_in_every_way() {
    type Join = fn(TaskHandle<u32>) -> u32;
    let joins: [Join; 5] = [
        |task| task.join().unwrap(),
        |task| task.outcome().completed().unwrap(),
        |task| task.join_timeout(Duration::MAX).unwrap().unwrap(),
        |task| task.join_or_stopped(&StopEvent::new()).unwrap().unwrap(),
        |task| {
            task.wait();
            task.try_join().unwrap().unwrap()
        },
    ];
    for join in joins {
        finishes(move || {
            let stuck = Stuck::new(1);
            let mut task = stuck.pool.submit(|_| 7);
            let (counts, waker) = Counts::new();
            assert!(is_pending(&mut task, &waker));
            drop(waker);
            stuck.release();
            assert_eq!(join(task), 7);
            stuck.pool.shutdown(Shutdown::Drain);
            assert_eq!(Arc::strong_count(&counts), 1);
            assert_eq!(counts.get(), 1);
        });
    }
}

/// The text of the panic of `code`.
#[track_caller]
fn panic_of<R>(code: impl FnOnce() -> R) -> String {
    let result = catch_unwind(AssertUnwindSafe(code));
    let Err(payload) = result else {
        panic!("it did not panic");
    };
    let text = payload.downcast::<String>();
    *text.expect("the panic has a text")
}

#[test]
fn once_it_was_ready_its_outcome_is_given_away() {
    type Take = fn(TaskHandle<u32>);
    let takes: [Take; 6] = [
        |mut task| drop(poll(&mut task, Waker::noop())),
        |task| drop(task.join()),
        |task| drop(task.outcome()),
        |task| drop(task.try_join()),
        |task| drop(task.join_timeout(Duration::ZERO)),
        |task| drop(task.join_or_stopped(&StopEvent::new())),
    ];
    for take in takes {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let mut task = pool.submit(|_| 7);
            task.wait();
            assert!(matches!(poll(&mut task, Waker::noop()), Poll::Ready(Ok(7))));
            // All but the outcome is there.
            assert_eq!(task.status(), TaskStatus::Completed);
            let done = CancelOutcome::AlreadyDone(TaskStatus::Completed);
            assert_eq!((task.id().as_u64(), task.cancel()), (0, done));
            assert!(task.is_done() && task.wait_timeout(Duration::ZERO));
            let text = panic_of(|| take(task));
            let expected =
                "the outcome of task #0 was given away when its handle was ready as a future";
            assert_eq!(text, expected);
        });
    }
}

#[test]
fn a_value_that_was_given_away_is_dropped_once() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let drops = DropCounter::new();
        for by_wrapper in [false, true] {
            let before = drops.count();
            let token = drops.token();
            let mut task = pool.submit(move |_| token);
            task.wait();
            if by_wrapper {
                let mut wrapped = task.cancel_on_drop();
                let Poll::Ready(Ok(value)) = poll(&mut wrapped, Waker::noop()) else {
                    panic!("it has ended");
                };
                drop(wrapped);
                assert_eq!(drops.count(), before);
                drop(value);
            } else {
                let Poll::Ready(Ok(value)) = poll(&mut task, Waker::noop()) else {
                    panic!("it has ended");
                };
                drop(task);
                assert_eq!(drops.count(), before);
                drop(value);
            }
            assert_eq!(drops.count(), before + 1);
        }
    });
}

#[test]
fn a_wrapper_gives_back_a_handle_that_was_polled() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let mut wrapped = stuck.pool.submit(|_| 7).cancel_on_drop();
        let (counts, waker) = Counts::new();
        assert!(is_pending(&mut wrapped, &waker));
        let task = wrapped.into_inner();
        stuck.release();
        assert_eq!(task.join().unwrap(), 7);
        stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(counts.get(), 1);
    });
}

/// On a pool of one thread: a poll of what is pending gives way, and runs nothing.
#[test]
fn polls_run_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let mut inner = submitter.submit(|_| thread::current().id());
            assert!(is_pending(&mut inner, Waker::noop()));
            assert!(inner.is_pending());
            inner
        });
        outer.join().unwrap().join().unwrap();
    });
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        quiet_panic("a waker");
    }
}

#[test]
fn a_waker_that_panics_disturbs_nobody() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let pool = &stuck.pool;
        let mut tasks = [(); 2].map(|()| pool.submit(|_| 7));
        let (tell, told) = mpsc::channel();
        for task in &mut tasks {
            let tell = tell.clone();
            assert!(is_pending(task, &Waker::from(Arc::new(Panics))));
            task.on_done(move |status| tell.send(status).unwrap());
        }
        drop(tell);
        assert_eq!(tasks[0].cancel(), CancelOutcome::NeverStarted);
        stuck.release();
        let statuses: Vec<_> = told.iter().collect();
        assert_eq!(statuses, [TaskStatus::NeverStarted, TaskStatus::Completed]);
        let [never, ran] = tasks;
        assert!(never.join().unwrap_err().is_never_started());
        assert_eq!(ran.join().unwrap(), 7);
        assert_eq!(pool.submit(|_| 8).join().unwrap(), 8);
    });
}

/// Does something when it is woken or dropped.
struct Does<F: FnMut() + Send + 'static>(Mutex<Option<OnDrop<F>>>);

impl<F: FnMut() + Send + 'static> Does<F> {
    fn waker(f: F) -> Waker {
        Waker::from(Arc::new(Does(Mutex::new(Some(OnDrop(f))))))
    }
}

impl<F: FnMut() + Send + 'static> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        let does = self.0.lock().unwrap().take();
        drop(does);
    }
}

#[test]
fn a_waker_that_panics_when_dropped_loses_no_value() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let drops = DropCounter::new();
        let token = drops.token();
        let mut task = stuck.pool.submit(move |_| token);
        let done = stuck.pool.submit(|_| ());
        let waker = Does::waker(|| quiet_panic("a waker's drop"));
        assert!(is_pending(&mut task, &waker));
        // This is not the last one.
        drop(waker);
        // Whether the drop of the handle hears of it or not, the rest is as ever.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
        stuck.release();
        done.wait();
        stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_waker_may_use_the_pool_and_the_handle() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let task = Arc::new(Mutex::new(Some(stuck.pool.submit(|_| 7))));
        let (tell, told) = mpsc::channel();
        let submitter = stuck.pool.submitter();
        let waker = Does::waker({
            let task = Arc::clone(&task);
            move || {
                let mut task = task.lock().unwrap().take().unwrap();
                let Poll::Ready(Ok(value)) = poll(&mut task, Waker::noop()) else {
                    return;
                };
                drop(task);
                let next = submitter.submit(move |_| value + 1);
                tell.send(next).unwrap();
            }
        });
        assert!(is_pending(task.lock().unwrap().as_mut().unwrap(), &waker));
        drop(waker);
        stuck.release();
        assert_eq!(told.recv().unwrap().join().unwrap(), 8);
    });
}

/// Callbacks come first, so that who is woken finds that they have been called.
#[test]
fn it_is_woken_after_the_callbacks() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let (tell, told) = mpsc::channel();
        let mut task = stuck.pool.submit(|_| 7);
        let woken = tell.clone();
        let waker = Does::waker(move || woken.send("waker").unwrap());
        assert!(is_pending(&mut task, &waker));
        drop(waker);
        task.on_done(move |_| tell.send("callback").unwrap());
        stuck.release();
        assert_eq!(told.iter().collect::<Vec<_>>(), ["callback", "waker"]);
    });
}

#[test]
fn ends_against_polls() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let drops = DropCounter::new();
        const ROUNDS: usize = 3_000;
        for n in 0..ROUNDS {
            let begin = Arc::new(Barrier::new(2));
            let token = drops.token();
            let mut task = pool.submit({
                let begin = Arc::clone(&begin);
                move |_| {
                    begin.wait();
                    token
                }
            });
            begin.wait();
            match n % 3 {
                0 => drop(pollster::block_on(task).unwrap()),
                1 => {
                    let (counts, waker) = Counts::new();
                    while is_pending(&mut task, &waker) {
                        until(|| counts.get() > 0);
                    }
                }
                _ => {
                    let _ = poll(&mut task, Waker::noop());
                    drop(task);
                }
            }
        }
        pool.shutdown(Shutdown::Drain);
        assert_eq!(drops.count(), ROUNDS);
    });
}

/// One thread polls with ever new wakers while another one ends the task: the last one is woken.
#[test]
fn ends_against_wakers_that_are_replaced() {
    finishes(|| {
        for _ in 0..1_000 {
            let stuck = Stuck::new(1);
            let mut task = stuck.pool.submit(|_| ());
            let begin = Arc::new(Barrier::new(2));
            let canceller = thread::spawn({
                let (canceller, begin) = (task.canceller(), Arc::clone(&begin));
                move || {
                    begin.wait();
                    canceller.cancel();
                }
            });
            let mut last = None;
            begin.wait();
            for _ in 0..20 {
                let (counts, waker) = Counts::new();
                if !is_pending(&mut task, &waker) {
                    last = None;
                    break;
                }
                last = Some(counts);
            }
            canceller.join().unwrap();
            if let Some(counts) = last {
                assert_eq!(counts.get(), 1);
            }
        }
    });
}
