//! What the command line asks for.

use std::env;
use stoppable_benches::rows::ROWS;

/// The rows that are not times.
const OTHERS: [&str; 3] = ["memory", "growth", "oversubscribed"];

pub(crate) struct Options {
    rows: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) n: usize,
    /// The most tasks in one pool.
    pub(crate) growth: usize,
    /// How many tables.
    pub(crate) repeat: usize,
}

impl Options {
    pub(crate) fn parse() -> Option<Options> {
        let mut options = Options {
            rows: Vec::new(),
            rounds: 7,
            n: 200_000,
            growth: 10_000_000,
            repeat: 1,
        };
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => {
                    options.rounds = 3;
                    options.n = 20_000;
                    options.growth = 100_000;
                }
                "--rounds" => options.rounds = args.next()?.parse().ok()?,
                "--n" => options.n = args.next()?.parse().ok()?,
                "--repeat" => options.repeat = args.next()?.parse().ok()?,
                row if keys().any(|key| key == row) => options.rows.push(arg),
                _ => return None,
            }
        }
        let fine = options.rounds > 0 && options.n > 0 && options.repeat > 0;
        fine.then_some(options)
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row)
    }
}

fn keys() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.key).chain(OTHERS)
}

pub(crate) fn usage() {
    let options = "[--quick] [--rounds R] [--n N] [--repeat T]";
    eprintln!("usage: table [ROW…] {options}, where a row is one of");
    keys().for_each(|key| eprintln!("  {key}"));
}
