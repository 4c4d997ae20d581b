//! What a task of ours costs, held against the limits.

use super::callgrind;
use std::process::ExitCode;
use stoppable_benches::kit::Contender;
use stoppable_benches::memory::{self, Footprint};
use stoppable_benches::{counted, rows::Unit};

/// The limits: lines of `KIND WHAT LIMIT`; `#` begins a comment.
const LIMITS: &str = include_str!("../../../limits.txt");

/// Tasks in a run under callgrind.
const COUNTED: usize = 2_000;
/// Tasks that are queued to see what they take.
const QUEUED: usize = 100_000;

/// One figure of ours.
struct Figure {
    kind: &'static str,
    what: &'static str,
    /// `None` if it could not be had.
    value: Option<f64>,
}

/// Prints all figures beside their limits, and fails if one is over.
pub(crate) fn check() -> ExitCode {
    let mut figures = footprints();
    if callgrind::is_there() {
        figures.extend(instructions());
    } else {
        println!("There is no valgrind here, so instructions are not counted.\n");
    }
    println!("| kind | what | figure | limit | |\n|---|---|---:|---:|---|");
    let mut fine = true;
    for figure in figures {
        let (limit, verdict) = match (figure.value, limit(&figure)) {
            (Some(value), Some(limit)) if value <= limit => (limit, "ok"),
            (Some(_), Some(limit)) => (limit, "over"),
            (None, limit) => (limit.unwrap_or(f64::NAN), "not counted"),
            (Some(_), None) => (f64::NAN, "no limit"),
        };
        let value = figure.value.unwrap_or(f64::NAN);
        let Figure { kind, what, .. } = figure;
        println!("| {kind} | {what} | {value:.2} | {limit} | {verdict} |");
        fine &= verdict == "ok";
    }
    if fine {
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "\nA figure is over its limit, or was not to be had (is `solo` built beside this?)."
        );
        ExitCode::FAILURE
    }
}

fn limit(figure: &Figure) -> Option<f64> {
    let mut lines = LIMITS.lines().map(str::split_whitespace);
    lines.find_map(|mut words| {
        let is_it = words.next() == Some(figure.kind) && words.next() == Some(figure.what);
        is_it.then(|| words.next()?.parse().ok())?
    })
}

fn instructions() -> impl Iterator<Item = Figure> {
    counted::contenders().into_iter().map(|contender| {
        // A poll is so little that it takes more of them to be seen.
        let unit = match contender.name {
            "poll" => Unit::Polls,
            _ => Unit::Tasks,
        };
        let n = unit.times(COUNTED);
        Figure {
            kind: "instructions",
            what: contender.name,
            value: callgrind::instructions("counted", contender.name, n).map(|each| each.own),
        }
    })
}

fn footprints() -> Vec<Figure> {
    let both = [
        ("single", memory::contenders()),
        ("batch", memory::batch_contenders()),
    ];
    both.into_iter().flat_map(footprint).collect()
}

/// Of the first contender, which is ours.
fn footprint((what, mut row): (&'static str, Vec<Contender<Footprint>>)) -> [Figure; 2] {
    let took = row[0].run(QUEUED);
    let figure = |kind, value| Figure {
        kind,
        what,
        value: Some(value),
    };
    [
        figure("allocations", took.allocations),
        figure("bytes", took.bytes),
    ]
}
