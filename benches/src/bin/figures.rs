//! Figures to reach, one by one, beside what was wished for: `cargo run --release -p stoppable-benches --bin figures`.
//!
//! What must hold whatever it takes (no thread is left, no set is lost, nobody sleeps on) is checked here as well,
//! and tested in `tests/it`.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{Shutdown, StopEvent, TaskHandle, TaskStatus, ThreadPool};
use stoppable_benches::kit::median;
use stoppable_benches::machine;

fn main() {
    println!("{}\n", machine::name());
    println!("| figure | wished | measured | met |");
    println!("|---|---|---|---|");
    create_and_shut_down();
    waiters();
    trees();
    races();
    panics();
    random_tasks();
}

fn row(figure: &str, wished: &str, measured: &str, met: bool) {
    let met = if met { "yes" } else { "no" };
    println!("| {figure} | {wished} | {measured} | {met} |");
}

/// With three figures, in the unit that fits.
fn words(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    match nanos {
        0.0..1e3 => format!("{nanos:.0} ns"),
        1e3..1e6 => format!("{:.1} µs", nanos / 1e3),
        1e6..1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

fn median_and_most(times: &[Duration]) -> String {
    let most = times.iter().max().copied().unwrap_or_default();
    format!("{}, at most {}", words(median(times)), words(most))
}

/// How many threads the process has, as far as Linux tells.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn create_and_shut_down() {
    const ROUNDS: usize = 10_000;
    let before = threads();
    let mut idle = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let report = ThreadPool::new(4).shutdown(Shutdown::Drain);
        idle.push(start.elapsed());
        assert!(report.is_final());
    }
    row(
        "create and shut down 4 workers",
        "≤ 0.3 ms",
        &median_and_most(&idle),
        median(&idle) <= Duration::from_micros(300),
    );
    let mut used = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let pool = ThreadPool::new(4);
        assert_eq!(pool.submit(|_stop| 1).join().ok(), Some(1));
        drop(pool);
        used.push(start.elapsed());
    }
    let left = threads() - before;
    row(
        "10,000 rounds of create, use, destroy",
        "no thread left",
        &format!("{left} left; a round {}", median_and_most(&used)),
        left == 0,
    );
}

fn waiters() {
    const WAITERS: usize = 1_000;
    let mut times = Vec::new();
    for _ in 0..7 {
        let root = StopEvent::new();
        let begun = Arc::new(Barrier::new(WAITERS + 1));
        let threads: Vec<_> = (0..WAITERS)
            .map(|n| {
                let stop = if n % 2 == 0 {
                    root.clone()
                } else {
                    root.child()
                };
                let begun = Arc::clone(&begun);
                let thread = thread::Builder::new().stack_size(64 * 1024);
                let body = move || {
                    begun.wait();
                    stop.wait();
                    Instant::now()
                };
                thread.spawn(body).expect("a thread can be started")
            })
            .collect();
        begun.wait();
        // So that they are asleep.
        thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        root.set();
        let ends = threads.into_iter().map(|it| it.join().expect("it waits"));
        times.push(ends.max().map_or(Duration::ZERO, |last| last - start));
    }
    row(
        "a set, until the last of 1,000 waiters is awake",
        "≤ 100 ms",
        &median_and_most(&times),
        median(&times) <= Duration::from_millis(100),
    );
}

/// A complete binary tree; all of it is set by its root.
fn trees() {
    const NODES: usize = 10_000;
    for with_callbacks in [false, true] {
        let mut times = Vec::new();
        for _ in 0..51 {
            let mut tree = vec![StopEvent::new()];
            for n in 1..NODES {
                let child = tree[(n - 1) / 2].child();
                tree.push(child);
            }
            let runs = Arc::new(AtomicU64::new(0));
            let listened = if with_callbacks { NODES } else { 0 };
            let callbacks: Vec<_> = tree[..listened]
                .iter()
                .map(|event| {
                    let runs = Arc::clone(&runs);
                    event.on_set(move || {
                        runs.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            let start = Instant::now();
            tree[0].set();
            let all = tree.iter().all(StopEvent::is_set);
            times.push(start.elapsed());
            assert!(all && runs.load(Ordering::Relaxed) == listened as u64);
            drop(callbacks);
        }
        let figure = if with_callbacks {
            "the same, with a callback on each node"
        } else {
            "a tree of 10,000 nodes is set, and each node polled"
        };
        row(
            figure,
            "≤ 5 ms",
            &median_and_most(&times),
            median(&times) <= Duration::from_millis(5),
        );
    }
}

/// Two threads to and fro: each set is waited for by the other.
fn races() {
    const BATCH: usize = 1_000;
    const SETS: usize = 1_000_000;
    let start = Instant::now();
    for _ in 0..SETS / BATCH / 2 {
        let events = || (0..BATCH).map(|_| StopEvent::new()).collect::<Vec<_>>();
        let (to, fro) = (events(), events());
        thread::scope(|scope| {
            scope.spawn(|| {
                for (to, fro) in to.iter().zip(&fro) {
                    to.wait();
                    fro.set();
                }
            });
            for (to, fro) in to.iter().zip(&fro) {
                to.set();
                fro.wait();
            }
        });
    }
    let took = start.elapsed();
    let each = words(took / SETS as u32);
    row(
        "1,000,000 sets against waits",
        "none lost",
        &format!("none; {} in all, {each} each", words(took)),
        true,
    );
}

fn panics() {
    const PANICS: usize = 100_000;
    let pool = ThreadPool::new(4);
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let start = Instant::now();
    for _ in 0..PANICS {
        let seen = Arc::clone(&seen);
        let task = move |_: &StopEvent| -> u8 {
            if let Ok(mut seen) = seen.lock() {
                seen.insert(thread::current().id());
            }
            // Past the panic hook, which would print.
            resume_unwind(Box::new(()))
        };
        assert!(pool.execute(task).is_ok());
    }
    let report = pool.shutdown(Shutdown::Drain);
    let took = start.elapsed();
    let workers = seen.lock().map_or(0, |seen| seen.len());
    row(
        "100,000 panics on 4 workers",
        "the same threads",
        &format!(
            "{} panics on {workers} threads, {} in all",
            report.panicked(),
            words(took)
        ),
        report.panicked() == PANICS as u64 && workers <= 4,
    );
}

/// One in sixteen tasks is cancelled, sooner or later, and one in a thousand panics; each handle is asked in the end.
fn random_tasks() {
    const TASKS: u64 = 10_000_000;
    /// So many handles are held at a time.
    const HELD: usize = 4096;
    let pool = ThreadPool::new(2);
    let mut outcomes = [0; 4];
    let mut count = |handle: TaskHandle<u64>| {
        let at = match handle.outcome().status() {
            TaskStatus::Completed => 0,
            TaskStatus::Cancelled => 1,
            TaskStatus::NeverStarted => 2,
            _ => 3,
        };
        outcomes[at] += 1;
    };
    let mut held = VecDeque::with_capacity(HELD);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let start = Instant::now();
    for n in 0..TASKS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let panics = random.is_multiple_of(1000);
        held.push_back(pool.submit(move |stop| {
            if panics {
                // Past the panic hook, which would print.
                resume_unwind(Box::new(()));
            }
            if stop.is_set() { 0 } else { n }
        }));
        if (random >> 32).is_multiple_of(16) {
            held[(random >> 36) as usize % held.len()].cancel();
        }
        if held.len() == HELD {
            held.pop_front().into_iter().for_each(&mut count);
        }
    }
    held.into_iter().for_each(count);
    let report = pool.shutdown(Shutdown::Drain);
    let took = start.elapsed();
    let counts = [
        report.completed(),
        report.cancelled(),
        report.never_started(),
        report.panicked(),
    ];
    let is_exact = counts == outcomes && counts.iter().sum::<u64>() == TASKS;
    let [completed, cancelled, never_started, panicked] = counts;
    let most = peak().map_or("unknown".to_owned(), |kib| format!("{} MiB", kib / 1024));
    row(
        "10,000,000 random tasks with cancels and panics",
        "≤ 10 s, ≤ 100 MiB, exact",
        &format!(
            "{}, {most}; {completed} completed, {cancelled} cancelled, {never_started} never started, {panicked} panicked, {}",
            words(took),
            if is_exact { "exact" } else { "NOT EXACT" },
        ),
        is_exact && took <= Duration::from_secs(10) && peak().is_none_or(|kib| kib <= 100 * 1024),
    );
}

/// The most memory that this process ever had, in KiB, as far as Linux tells.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
