//! What it costs to keep how long tasks wait and run: `cargo run --release -p stoppable-benches --bin timings`.
//!
//! The same work on a pool with `timings(true)` and on one without, in turns; printed are the
//! medians, and the median and the quartiles of the ratios of turns that followed each other.

use std::time::{Duration, Instant};
use stoppable::{StopEvent, TaskHandle, ThreadPool};
use stoppable_benches::kit::{
    expected, median, one_by_one, submit_then_collect, submit_then_wait, work,
};
use stoppable_benches::machine;

const TASKS: usize = 20_000;
const ROUNDS: usize = 401;
const THREADS: usize = 2;

fn main() {
    println!("{}\n", machine::name());
    println!("| {TASKS} tasks, {ROUNDS} rounds | without | with | ratio | its quartiles |");
    println!("|---|---|---|---|---|");
    row("submit and collect", submit_and_collect);
    row("a batch", batch);
    row("fire and forget", fire_and_forget);
}

fn pool(timings: bool) -> ThreadPool {
    let pool = ThreadPool::builder().threads(THREADS).timings(timings);
    pool.build().expect("two threads")
}

fn row(name: &str, work: fn(&ThreadPool) -> Duration) {
    let pools = [pool(false), pool(true)];
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for turn in [round % 2, 1 - round % 2] {
            times[turn].push(work(&pools[turn]));
        }
    }
    let mut ratios: Vec<f64> = times[1]
        .iter()
        .zip(&times[0])
        .map(|(with, without)| with.as_secs_f64() / without.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = |quarter: usize| ratios[(ROUNDS - 1) * quarter / 4];
    let each = |times: &[Duration]| median(times).as_nanos() as f64 / TASKS as f64;
    println!(
        "| {name} | {:.0} ns | {:.0} ns | {:.2} | {:.2} to {:.2} |",
        each(&times[0]),
        each(&times[1]),
        ratio(2),
        ratio(1),
        ratio(3),
    );
}

fn submit_and_collect(pool: &ThreadPool) -> Duration {
    submit_then_collect(
        TASKS,
        |i| pool.submit(move |_stop| work(i)),
        one_by_one(|task: TaskHandle<u64>| task.join().expect("it ends")),
    )
}

fn batch(pool: &ThreadPool) -> Duration {
    let start = Instant::now();
    let tasks = pool.submit_all((0..TASKS as u64).map(|i| move |_: &StopEvent| work(i)));
    let sum = one_by_one(|task: TaskHandle<u64>| task.join().expect("it ends"))(tasks);
    let took = start.elapsed();
    assert_eq!(sum, expected(TASKS), "every result, once");
    took
}

fn fire_and_forget(pool: &ThreadPool) -> Duration {
    submit_then_wait(TASKS, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.execute(move |_stop| tally.add(work(i)))
                .expect("it is open");
        }
    })
}
