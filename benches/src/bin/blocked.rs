//! How soon a stop reaches a task that is blocked, as Markdown.
//!
//! `blocked [ROW…] [--quick] [--rounds R]`. Each round runs ours and what is written by hand in turn, and begins with the
//! other one each time. The time is from the stop until the task goes on; p50 and p99 of the rounds, and the ratio of the p50.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use stoppable_benches::blocked::{Row, Side, Sides, Stage, rows};
use stoppable_benches::machine;
use stoppable_benches::others::Account;
use stoppable_benches::probe;

/// Rounds before those that count.
const WARM_UP: usize = 10;

struct Options {
    rows: Vec<String>,
    rounds: usize,
}

impl Options {
    fn parse() -> Option<Options> {
        let mut options = Options {
            rows: Vec::new(),
            rounds: 4_000,
        };
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.rounds = 200,
                "--rounds" => options.rounds = args.next()?.parse().ok()?,
                key if rows().iter().any(|row| row.key == key) => options.rows.push(arg),
                _ => return None,
            }
        }
        (options.rounds > 0).then_some(options)
    }

    fn wants(&self, row: &Row) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row.key)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::parse() else {
        eprintln!("usage: blocked [ROW…] [--quick] [--rounds R], where a row is one of");
        rows().iter().for_each(|row| eprintln!("  {}", row.key));
        return ExitCode::FAILURE;
    };
    let before = Account::now();
    // Before the stage, which keeps this thread on one processor.
    let round_trip = probe::line_round_trip();
    println!(
        "{}. From the stop until the task goes on, in µs.",
        machine::name()
    );
    println!();
    println!("| blocked in | p50 | p99 | by hand | p50 | p99 | ratio | rounds |");
    println!("|---|---:|---:|---|---:|---:|---:|---:|");
    let stage = Stage::new();
    for row in rows().into_iter().filter(|row| options.wants(row)) {
        println!("{}", line(row, &stage, (options.rounds / row.share).max(1)));
        // A row may take a while.
        let _ = io::stdout().flush();
    }
    let others = 100.0 * Account::others_since(before);
    println!();
    println!(
        "Others had {others:.0} % of the machine. A cache line took {round_trip:.0} ns from one processor to another and back."
    );
    ExitCode::SUCCESS
}

fn line(row: &Row, stage: &Stage, rounds: usize) -> String {
    let Sides { ours, by_hand } = (row.sides)(stage.clone());
    let mut sides = [ours, by_hand];
    for side in &mut sides {
        (0..WARM_UP).for_each(|_| {
            side();
        });
    }
    let [ours, by_hand] = take(&mut sides, rounds).map(Times::of);
    format!(
        "| {} | {} | {} | {} | {} | {} | {:.2} | {rounds} |",
        row.title,
        microseconds(ours.p50),
        microseconds(ours.p99),
        row.by_hand,
        microseconds(by_hand.p50),
        microseconds(by_hand.p99),
        ours.p50.as_secs_f64() / by_hand.p50.as_secs_f64(),
    )
}

/// Both in turn.
fn take(sides: &mut [Side; 2], rounds: usize) -> [Vec<Duration>; 2] {
    let mut times = [Vec::with_capacity(rounds), Vec::with_capacity(rounds)];
    for round in 0..rounds {
        for turn in 0..2 {
            let side = (round + turn) % 2;
            times[side].push(sides[side]());
        }
    }
    times
}

struct Times {
    p50: Duration,
    p99: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort_unstable();
        // The least that so many percent of them are no longer than.
        let percentile = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        Times {
            p50: percentile(50),
            p99: percentile(99),
        }
    }
}

fn microseconds(time: Duration) -> String {
    let time = time.as_secs_f64() * 1e6;
    if time < 10.0 {
        format!("{time:.2}")
    } else if time < 100.0 {
        format!("{time:.1}")
    } else {
        format!("{time:.0}")
    }
}
