//! Child processes that are killed when a deadline passes.
//!
//! A tiny build: three sources are compiled in parallel and then linked, each by a process of its own. One compiler
//! hangs. The whole build has 300 ms: then what still runs is killed, what has not begun never starts, and what was
//! written by then is kept.
//!
//! Expect two objects, a compiler that was killed, no link, and no process left. Needs `sh`, so it does nothing but
//! say so on other systems than unix.

#[cfg(unix)]
fn main() -> Result<(), stoppable::BuildError> {
    build::main()
}

#[cfg(not(unix))]
fn main() {
    println!("This example runs shell scripts, and there is no shell here.");
}

#[cfg(unix)]
mod build {
    use std::process::{Command, Output, Stdio};
    use std::time::{Duration, Instant};
    use stoppable::{
        BuildError, Outcome, Shutdown, StopCommand, StopEvent, StopOutputError, ThreadPool,
    };

    /// What stands for a compiler. The last process takes the shell's place, so it is the one that is killed.
    const SOURCES: [(&str, &str); 3] = [
        ("lexer", "echo 'lexer: 120 lines'; sleep 0.05"),
        ("parser", "echo 'parser: 340 lines'; sleep 0.1"),
        (
            "optimizer",
            "echo 'optimizer: pass 1 of 2'; exec sleep 3600",
        ),
    ];

    fn run(script: &str, stop: &StopEvent) -> Result<Output, StopOutputError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command.output_or_stopped(stop)
    }

    fn print(name: &str, what: &str, output: &Output) {
        let said = String::from_utf8_lossy(&output.stdout);
        println!(
            "{name}: {what} ({}), it said: {}",
            output.status,
            said.trim()
        );
    }

    pub(crate) fn main() -> Result<(), BuildError> {
        let began = Instant::now();
        let pool = ThreadPool::builder().threads(2).name("build").build()?;
        let limit = StopEvent::new();
        limit.set_after(Duration::from_millis(300));

        let compilers: Vec<_> = SOURCES
            .iter()
            .map(|&(name, script)| {
                let task = pool.task().name(name).stop_with(&limit);
                (name, task.submit(move |stop| run(script, stop)))
            })
            .collect();
        let mut objects = 0;
        for (name, compiler) in compilers {
            match compiler.outcome() {
                Outcome::Completed(Ok(output)) => {
                    objects += 1;
                    print(name, "compiled", &output);
                }
                Outcome::Cancelled {
                    partial:
                        Some(Err(StopOutputError::Stopped {
                            output: Some(output),
                            ..
                        })),
                    cause,
                } => print(name, &format!("stopped, {}", cause.reason), &output),
                other => println!("{name}: {other:?}"),
            }
        }
        // Its event is set already, unless all went well: then it never starts.
        let link = pool.task().name("link").stop_with(&limit);
        let link = link.submit(|stop| run("echo linked", stop));
        println!("link: {}", link.outcome().status());

        println!(
            "{objects} of {} objects, after {} ms",
            SOURCES.len(),
            began.elapsed().as_millis()
        );
        println!("{}", pool.shutdown(Shutdown::Drain));
        Ok(())
    }
}
