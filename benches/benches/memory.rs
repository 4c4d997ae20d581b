//! `memory`: allocations and bytes of a queued task, counted and not timed, so without criterion.

use stoppable_benches::alloc::Counting;
use stoppable_benches::memory;

#[global_allocator]
static ALLOC: Counting = Counting;

fn main() {
    println!("| queued task with its handle | allocations | bytes |\n|---|---:|---:|");
    for mut contender in memory::batch_contenders() {
        let took = contender.run(100_000);
        println!(
            "| {} | {:.2} | {:.0} |",
            contender.name, took.allocations, took.bytes
        );
    }
}
