//! `instructions ROW [N]` counts the instructions of one task for every contender of a row, and how
//! many of them are not the C library's.
//!
//! `instructions --check` counts what a task of ours costs (instructions, allocations, bytes) and
//! fails if that is more than `limits.txt` allows. These figures do not depend on how busy the
//! machine is, so they can be held where times cannot.

mod callgrind;
mod check;

use std::env;
use std::process::ExitCode;
use stoppable_benches::alloc::Counting;
use stoppable_benches::rows;

#[global_allocator]
static ALLOC: Counting = Counting;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let row = args.first().map_or("", String::as_str);
    if row == "--check" {
        return check::check();
    }
    let Some(contenders) = rows::contenders(row) else {
        eprintln!("usage: instructions ROW [N]\n       instructions --check");
        return ExitCode::FAILURE;
    };
    let n = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(5_000);
    println!("| {row} | instructions each | in its own code |\n|---|---:|---:|");
    for contender in contenders {
        let name = contender.name;
        match callgrind::instructions(row, name, n) {
            Some(each) => println!("| {name} | {:.0} | {:.0} |", each.all, each.own),
            None => println!("| {name} | — | — |"),
        }
    }
    ExitCode::SUCCESS
}
