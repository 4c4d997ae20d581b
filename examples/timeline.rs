//! A picture of a shutdown with a straggler: an SVG for any browser, and a trace for Perfetto or `chrome://tracing`.
//!
//! ```sh
//! cargo run --release --example timeline --features timeline -- target
//! ```

use std::time::Duration;
use std::{env, fs, path::PathBuf, thread};
use stoppable::{Graceful, StopEvent, ThreadPool};

/// Works for so many milliseconds, and looks at its stop event in between.
fn work(stop: &StopEvent, millis: u64) -> u64 {
    for done in 0..millis {
        if stop.sleep(Duration::from_millis(1)).is_err() {
            return done;
        }
    }
    millis
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "target".into()));
    let pool = ThreadPool::builder()
        .threads(4)
        .name("picture")
        .timeline(100_000)
        .build()?;
    // One that never looks, and one that waits for a part of itself.
    let deaf = pool.task().name("rebuild index");
    drop(deaf.submit(|_stop| thread::sleep(Duration::from_millis(600))));
    let submitter = pool.submitter();
    let outer = pool.task().name("export");
    drop(outer.submit(move |stop| {
        work(stop, 20);
        submitter.submit(|stop| work(stop, 300)).join()
    }));
    for n in 0..60 {
        let name = format!("request {n}");
        let millis = 5 + n * 7 % 23;
        drop(
            pool.task()
                .name(name)
                .submit(move |stop| work(stop, millis)),
        );
    }
    for n in 0..40 {
        let name = format!("batch {n}");
        drop(pool.task().name(name).submit(move |stop| work(stop, 40)));
    }
    let report = pool.shutdown_graceful(
        Graceful::new()
            .drain(Duration::from_millis(250))
            .cancel_pending(Duration::from_millis(15))
            .stop_all(Duration::from_millis(60)),
    );
    println!("{report}");
    let timeline = pool.timeline().ok_or("the pool records nothing")?;
    fs::create_dir_all(&folder)?;
    for (file, text) in [
        ("timeline.svg", timeline.svg()),
        ("timeline.json", timeline.trace_json()),
    ] {
        fs::write(folder.join(file), text)?;
        println!("wrote {}", folder.join(file).display());
    }
    pool.abandon();
    Ok(())
}
