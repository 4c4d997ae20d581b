//! The whole table, as Markdown.
//!
//! `table [ROW…] [--quick] [--rounds R] [--n N] [--repeat T]`. Each round runs every contender of a
//! row in turn, and begins with the next one each time. Figures are medians of the rounds; a ratio
//! is the median of the rounds' ratios, so that it holds when the machine's speed drifts. A round
//! during which the machine changed its mode, or was others', is done again; see `rounds`.
//!
//! With `--repeat` the table is printed so many times, and then, for each mark, what each of the
//! tables had, and the median.

mod ageing;
mod footprints;
mod line;
mod options;
mod rounds;
mod summary;
mod sweeps;
mod times;

use line::Line;
use options::Options;
use std::process::ExitCode;
use stoppable_benches::alloc::Counting;
use stoppable_benches::rows::ROWS;
use summary::Summary;

#[global_allocator]
static ALLOC: Counting = Counting;

fn main() -> ExitCode {
    let Some(options) = Options::parse() else {
        options::usage();
        return ExitCode::FAILURE;
    };
    println!("{} tasks, {} rounds.", options.n, options.rounds);
    println!(
        "Line round trip: how long a cache line takes from one processor to another and back."
    );
    let mut summary = Summary::default();
    for run in 1..=options.repeat {
        if options.repeat > 1 {
            println!("\n## Run {run} of {}", options.repeat);
        }
        println!("\n{}", line::HEAD);
        table(&options, &mut |line| {
            println!("{line}");
            summary.add(line);
        });
    }
    if options.repeat > 1 {
        println!("\n## All runs\n\n{summary}");
    }
    ExitCode::SUCCESS
}

fn table(options: &Options, print: &mut dyn FnMut(Line)) {
    for row in ROWS.iter().filter(|row| options.wants(row.key)) {
        print(times::line(row, options));
    }
    if options.wants("memory") {
        print(footprints::single(options));
        print(footprints::batch(options));
    }
    if options.wants("growth") {
        print(ageing::line(options));
        print(sweeps::crowding(options));
        print(ageing::remains(options));
    }
    if options.wants("oversubscribed") {
        sweeps::oversubscribed(options).for_each(print);
    }
}
