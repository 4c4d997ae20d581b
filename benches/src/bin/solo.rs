//! `solo ROW CONTENDER N` runs one contender alone, once; `solo ROW` lists the contenders of a row.
//!
//! The contender is named by its number in the list, or by its name. Beside the rows of the table
//! there is `counted`, whose contenders do our work in a form that is fit for an instruction
//! counter.

use std::env;
use std::process::ExitCode;
use stoppable_benches::rows::{self, ROWS};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let row = args.first().map_or("", String::as_str);
    let Some(mut contenders) = rows::contenders(row) else {
        eprintln!("usage: solo ROW [CONTENDER N], where a row is one of");
        for row in ROWS {
            eprintln!("  {}", row.key);
        }
        eprintln!("  counted");
        return ExitCode::FAILURE;
    };
    if args.len() < 3 {
        for (i, contender) in contenders.iter().enumerate() {
            println!("{i} {}", contender.name);
        }
        return ExitCode::SUCCESS;
    }
    let number: Option<usize> = args[1].parse().ok();
    let place = number.or_else(|| contenders.iter().position(|it| it.name == args[1]));
    let (Some(contender), Ok(n)) = (
        place.and_then(|place| contenders.get_mut(place)),
        args[2].parse::<usize>(),
    ) else {
        eprintln!("no such contender, or not a number of tasks");
        return ExitCode::FAILURE;
    };
    let took = contender.run(n);
    let each = took.as_nanos() as f64 / n as f64;
    println!("{row}, {}: {each:.1} ns each, of {n}", contender.name);
    ExitCode::SUCCESS
}
