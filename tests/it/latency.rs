//! How soon tasks stop: asked, seen, ended; how long they wait and run; and who is live.

use crate::common::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{Durations, Shutdown, StopEvent, TaskSnapshot, TaskStatus, ThreadPool};

fn timed(threads: usize) -> ThreadPool {
    let pool = ThreadPool::builder().threads(threads).timings(true);
    pool.build().unwrap()
}

/// The times of a task that is asked, looks after a while, and goes on for a while.
#[test]
fn seen_comes_after_asked_and_before_the_end() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (asked, saw) = (Gate::new(), Gate::new());
        let task = pool.submit({
            let (asked, saw) = (Arc::clone(&asked), Arc::clone(&saw));
            move |stop| {
                asked.pass();
                assert!(stop.is_set());
                saw.pass();
            }
        });
        task.wait_started();
        task.cancel();
        let cause = task.stop_event().cause().unwrap();
        asked.open();
        saw.open();
        task.wait();
        let report = pool.shutdown(Shutdown::Drain);
        let detail = report.details().next().unwrap();
        assert_eq!(detail.cause(), Some(&cause));
        let (seen, ended) = (detail.asked_to_seen(), detail.asked_to_ended());
        assert!(seen.unwrap() <= ended.unwrap());
        assert!(ended.unwrap() <= cause.at.elapsed());
        let latency = report.stop_latency();
        assert_eq!(latency.to_seen().max(), seen);
        assert_eq!(latency.to_ended().percentile(50.0), ended);
        assert_eq!((detail.waited(), detail.ran()), (None, None), "not kept");
    });
}

/// Polls before the stop and after the first that saw it are no matter.
#[test]
fn each_task_that_was_asked_while_it_ran_is_counted_once() {
    finishes(|| {
        const TASKS: u64 = 300;
        let pool = ThreadPool::new(3);
        for n in 0..TASKS {
            let task = pool.submit(move |stop| match n % 3 {
                0 => {
                    poll(stop);
                    // Again, which is not the first time.
                    assert!(stop.is_set() && stop.check().is_err());
                }
                // Does not look, but for a look that is none.
                1 => while !stop.peek() {},
                _ => {}
            });
            task.wait_started();
            task.cancel();
        }
        let report = pool.shutdown(Shutdown::Drain);
        let latency = report.stop_latency();
        assert_eq!(latency.to_seen().count(), report.cancelled());
        let asked = report.cancelled() + report.completed_though_asked();
        assert_eq!(latency.to_ended().count(), asked);
        assert!(report.completed_though_asked() >= TASKS / 3);
    });
}

#[test]
fn those_that_never_started_and_those_that_were_not_asked_have_none() {
    finishes(|| {
        let stuck = Stuck::new(1);
        for _ in 0..10 {
            stuck.pool.submit(|_| ()).cancel();
        }
        stuck.release();
        stuck.pool.submit(|_| ()).wait();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(report.stop_latency().to_ended(), &Durations::default());
        assert!(
            report
                .details()
                .all(|detail| detail.asked_to_ended().is_none())
        );
    });
}

#[test]
fn with_timings_every_task_has_waited_and_run() {
    finishes(|| {
        let pool = timed(2);
        let hour = Duration::from_secs(3_600);
        for n in 0..30 {
            match n % 6 {
                0 => pool.submit(|_| ()).wait(),
                1 => pool.try_submit(|_| ()).unwrap().wait(),
                2 => drop(pool.execute(|_| ()).unwrap()),
                3 => pool.task().timeout(hour).submit(|_| ()).wait(),
                4 => pool.scope(|s| s.submit(|_| ()).wait()).unwrap(),
                _ => pool
                    .submit_all((0..2).map(|_| |_: &_| ()))
                    .iter()
                    .for_each(|task| task.wait()),
            }
        }
        let report = pool.shutdown(Shutdown::Drain);
        let tasks = report.completed();
        assert_eq!(tasks, 35);
        let (waited, ran) = (report.waited().unwrap(), report.ran().unwrap());
        assert_eq!((waited.count(), ran.count()), (tasks, tasks));
        assert!(ran.min() <= ran.mean() && ran.mean() <= ran.max());
    });
}

#[test]
fn one_that_never_started_has_waited_until_then() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.timings(true));
        let began = Instant::now();
        let pending = stuck.pool.submit(|_| ());
        pending.cancel();
        let most = began.elapsed();
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        let detail = report.details().find(|detail| detail.id() == pending.id());
        let detail = detail.expect("it is one of those that did not complete");
        assert!(detail.waited().unwrap() <= most);
        assert_eq!(detail.ran(), None);
    });
}

#[test]
fn without_timings_nothing_is_kept_of_them() {
    let pool = ThreadPool::new(1);
    pool.submit(|_| ()).wait();
    let report = pool.shutdown(Shutdown::Drain);
    assert!(report.waited().is_none() && report.ran().is_none());
}

#[test]
fn what_is_live() {
    finishes(|| {
        let pool = timed(2);
        let gate = Gate::new();
        let running = pool.task().name("running").submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                poll(stop);
                gate.pass();
            }
        });
        running.wait_started();
        running.cancel();
        let submitter = pool.submitter();
        let (go, inside) = (Gate::new(), Gate::new());
        let outer = pool.task().name("outer").submit({
            let (go, inside) = (Arc::clone(&go), Arc::clone(&inside));
            move |_| {
                go.pass();
                // Run on the spot.
                submitter.submit(move |_| inside.pass()).wait();
            }
        });
        outer.wait_started();
        go.open();
        until(|| pool.stats().running == 3);
        let pending = pool.submit(|_| ());
        let tasks = pool.tasks();
        let of = |status| tasks.iter().filter(move |task| task.status() == status);
        assert_eq!(of(TaskStatus::Running).count(), 3);
        assert_eq!(
            of(TaskStatus::Pending)
                .map(TaskSnapshot::id)
                .collect::<Vec<_>>(),
            [pending.id()]
        );
        let named = |name| tasks.iter().find(|task| task.name() == Some(name)).unwrap();
        assert!(named("running").cause().is_some() && named("running").asked_ago().is_some());
        assert!(named("outer").cause().is_none() && !named("outer").has_looked());
        // The inner one waited and began later than the one that waits for it.
        let inner = of(TaskStatus::Running)
            .find(|task| task.name().is_none())
            .unwrap();
        assert!(inner.running_for().unwrap() <= named("outer").running_for().unwrap());
        assert!(of(TaskStatus::Pending).all(|task| task.waited().is_some()));
        gate.open();
        inside.open();
        pool.shutdown(Shutdown::Drain);
        assert!(pool.tasks().is_empty());
    });
}

/// Each once, and none that has ended, however fast they come and go.
#[test]
fn what_is_live_while_everything_moves() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    until(|| pool.stats().pending < 8);
                    pool.submit_all((0..8).map(|_| |_: &StopEvent| ())).clear();
                    drop(pool.submit(|_| ()));
                }
            });
            while pool.stats().submitted < 20_000 {
                let tasks = pool.tasks();
                let ids: BTreeSet<_> = tasks.iter().map(TaskSnapshot::id).collect();
                if ids.len() < tasks.len() || tasks.iter().any(|task| task.status().is_done()) {
                    over.store(true, SeqCst);
                    panic!("{tasks:?}");
                }
            }
            over.store(true, SeqCst);
        });
    });
}

#[test]
fn durations_of_stragglers() {
    finishes(|| {
        let pool = timed(1);
        let gate = Gate::new();
        let _open = OpenOnDrop(Arc::clone(&gate));
        let begun = Gate::new();
        let deaf = pool.task().name("deaf").submit({
            let begun = Arc::clone(&begun);
            move |_| {
                begun.open();
                gate.pass();
            }
        });
        // Not only claimed.
        begun.pass();
        let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::from_millis(5));
        assert!(deaf.is_running());
        let straggler = &report.stragglers()[0];
        assert_eq!(straggler.name(), Some("deaf"));
        assert!(straggler.asked_ago().unwrap() >= Duration::from_millis(5));
        assert!(straggler.running_for() >= straggler.asked_ago());
        assert_eq!(straggler.asked_to_seen(), None);
        let text = report.to_string();
        assert!(
            text.contains("running for") && text.contains("has not looked since"),
            "{text}"
        );
    });
}

/// Tasks that look so many polls after they were asked, each poll when we say: what is measured lies between
/// what we have measured from outside.
#[test]
fn percentiles_lie_between_bounds_that_are_measured_outside() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (mut least, mut most) = (Vec::new(), Vec::new());
        for polls in 0..60_u32 {
            let (ask, asked) = mpsc::channel::<bool>();
            let task = pool.submit(move |stop| {
                // Without noting it, until it is time.
                while !asked.recv().unwrap() {
                    assert!(stop.peek());
                }
                assert!(stop.is_set());
                Instant::now()
            });
            task.wait_started();
            let before = Instant::now();
            task.cancel();
            let after = Instant::now();
            for _ in 0..polls * 20 {
                ask.send(false).unwrap();
            }
            let allowed = Instant::now();
            ask.send(true).unwrap();
            let looked = task.outcome().into_value().unwrap();
            least.push(allowed - after);
            most.push(looked - before);
        }
        let report = pool.shutdown(Shutdown::Drain);
        let seen = report.stop_latency().to_seen();
        assert_eq!(seen.count(), 60);
        least.sort_unstable();
        most.sort_unstable();
        for percent in [1_u32, 10, 25, 50, 75, 90, 99, 100] {
            let rank = (60 * percent as usize).div_ceil(100) - 1;
            let found = seen.percentile(f64::from(percent)).unwrap();
            // To less than one part in 128.
            let highest = most[rank] + most[rank] / 128;
            assert!(
                (least[rank]..=highest).contains(&found),
                "{percent} %: {found:?}"
            );
        }
    });
}

/// A line of a cache, that says where the next one is.
#[repr(align(64))]
struct Line(usize);

/// Each has to be waited for before it is known where the next one is. Few instructions, as the processor looks ahead over some
/// hundred: over all of these and the end of the task.
#[inline(always)]
fn chase(lines: &[Line], at: usize) -> usize {
    let four = |at: usize| lines[lines[lines[lines[at].0].0].0].0;
    let sixteen = |at| four(four(four(four(at))));
    sixteen(sixteen(at))
}

/// With optimisations this sees it if the end is stamped before the processor is done with the task; without, the end takes so
/// many instructions that it is never soon enough.
#[test]
fn a_task_that_waits_for_memory_has_run_until_it_had_it() {
    finishes(|| {
        // Far more than fits into a cache, in no order: 64 MiB.
        let mut order: Vec<usize> = (0..1 << 20).collect();
        let mut seed = 1_u64;
        for last in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // That makes one circle of all.
            order.swap(last, (seed >> 33) as usize % last);
        }
        let lines: Arc<[Line]> = order.into_iter().map(Line).collect();
        let mut at = 0;
        let (mut found, mut known): (Vec<_>, Vec<_>) = (0..51)
            .map(|_| {
                let pool = timed(1);
                let lines = Arc::clone(&lines);
                let task = pool.submit(move |_| {
                    let clock = Instant::now();
                    let at = chase(&lines, at);
                    // That waits for it. So what it does not tell of has to be another.
                    let known = clock.elapsed();
                    (known, chase(&lines, at))
                });
                let (known, next) = task.join().unwrap();
                at = next;
                let report = pool.shutdown(Shutdown::Drain);
                (report.ran().unwrap().max().unwrap(), known)
            })
            .unzip();
        found.sort_unstable();
        known.sort_unstable();
        let (found, known) = (found[25], known[25]);
        assert!(found >= known + known / 2, "{found:?}, {known:?}");
    });
}
