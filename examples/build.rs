//! A build of real commands, in parallel, which Ctrl-C ends with all its processes.
//!
//! Steps depend on each other; each runs a command, in a process group of its own, and what it writes is kept. The
//! first step that fails, or Ctrl-C, stops the others: what runs is asked to end, and killed after half a second with
//! all that it has started; what has not begun never does. At the end there is a line for each step.
//!
//! As it is, the build succeeds. With `--slow` two of its steps take an hour, with processes of their own: press
//! Ctrl-C, and see that no `sleep` is left. With `--fail` another step fails meanwhile. The status is 0, or 1 if a step
//! failed, or 130 after Ctrl-C. Needs `sh`, so it does nothing but say so on other systems than unix.

#[cfg(unix)]
fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
    let options: Vec<String> = std::env::args().skip(1).collect();
    Ok(build::run_with(&options)?.into())
}

#[cfg(not(unix))]
fn main() {
    println!("This example runs shell scripts, and there is no shell here.");
}

#[cfg(unix)]
pub(crate) mod build {
    use std::error::Error;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output, Stdio};
    use std::time::Duration;
    use std::{env, fs, io};
    use stoppable::{
        Outcome, StopCommand, StopEvent, StopOutputError, StopReason, TaskHandle, ThreadPool,
        wait_any,
    };

    struct Step {
        name: &'static str,
        /// Earlier ones in the list, whose output it reads.
        after: &'static [usize],
        script: &'static str,
        /// By choice it takes an hour, or fails.
        may_be: Option<&'static str>,
    }

    const fn step(name: &'static str, after: &'static [usize], script: &'static str) -> Step {
        Step {
            name,
            after,
            script,
            may_be: None,
        }
    }

    const fn may_be(option: &'static str, mut step: Step) -> Step {
        step.may_be = Some(option);
        step
    }

    const STEPS: [Step; 6] = [
        step("fruit", &[], "printf 'pear\\napple\\nfig\\n'"),
        step("trees", &[], "printf 'oak\\nelm\\n'"),
        may_be("--slow", step("sort fruit", &[0], "sort \"$1\"")),
        may_be("--slow", step("sort trees", &[1], "sort \"$1\"")),
        may_be("--fail", step("check", &[0, 1], "cat \"$@\" | grep fig")),
        step("catalogue", &[2, 3, 4], "cat \"$1\" \"$2\" | cat -n"),
    ];

    /// Takes the place of a script. The shell and both of its programs are in the group.
    const SLOW: &str = "echo 'this takes an hour'; sleep 3600 & sleep 3600";
    const FAILS: &str = "echo 'no figs' >&2; exit 3";

    type Ran = Result<Output, StopOutputError>;

    enum Progress {
        Waiting,
        Running(TaskHandle<Ran>),
        Over(End),
    }

    enum End {
        Completed(Output),
        Failed(String),
        Cancelled(Output),
        NeverStarted,
    }

    /// Runs the script on those files, and writes what it says to `out`.
    fn run(script: &str, inputs: &[PathBuf], out: &Path, stop: &StopEvent) -> Ran {
        let output = Command::new("sh")
            .args(["-c", script, "sh"])
            .args(inputs)
            .stdin(Stdio::null())
            .own_group()
            .terminate_first(Duration::from_millis(500))
            .output_or_stopped(stop)?;
        fs::write(out, &output.stdout)?;
        Ok(output)
    }

    fn end(outcome: Outcome<Ran>) -> End {
        match outcome {
            // It may have come to its end as the stop came.
            Outcome::Completed(Ok(output))
            | Outcome::Cancelled {
                partial: Some(Ok(output)),
                ..
            } => {
                if output.status.success() {
                    return End::Completed(output);
                }
                let said = String::from_utf8_lossy(&output.stderr);
                End::Failed(format!("{}: {}", output.status, said.trim()))
            }
            Outcome::Cancelled {
                partial:
                    Some(Err(StopOutputError::Stopped {
                        output: Some(output),
                        ..
                    })),
                ..
            } => End::Cancelled(output),
            Outcome::Cancelled { .. } => End::NeverStarted,
            other => End::Failed(format!("{other:?}")),
        }
    }

    /// Runs all steps, each when those before it are done, until one of them fails or the event is set.
    fn build(pool: &ThreadPool, dir: &Path, options: &[String], stop: &StopEvent) -> Vec<End> {
        let file = |step: usize| dir.join(step.to_string());
        let mut steps: Vec<Progress> = STEPS.iter().map(|_| Progress::Waiting).collect();
        loop {
            for (n, step) in STEPS.iter().enumerate() {
                let is_done =
                    |&before: &usize| matches!(steps[before], Progress::Over(End::Completed(_)));
                if !matches!(steps[n], Progress::Waiting) || !step.after.iter().all(is_done) {
                    continue;
                }
                let script = match step.may_be {
                    Some(option) if options.iter().any(|given| given == option) => {
                        if option == "--slow" { SLOW } else { FAILS }
                    }
                    _ => step.script,
                };
                let inputs: Vec<_> = step.after.iter().map(|&before| file(before)).collect();
                let out = file(n);
                // If the event is set already, it never starts.
                let task = pool.task().name(step.name).stop_with(stop);
                let task = task.submit(move |stop| run(script, &inputs, &out, stop));
                steps[n] = Progress::Running(task);
            }
            let running = |step: &Progress| matches!(step, Progress::Running(_));
            if !steps.iter().any(running) {
                break;
            }
            wait_any(steps.iter().filter_map(|step| match step {
                Progress::Running(task) => Some(task),
                _ => None,
            }));
            for step in &mut steps {
                let ended = matches!(step, Progress::Running(task) if task.is_done());
                if !ended {
                    continue;
                }
                if let Progress::Running(task) = std::mem::replace(step, Progress::Waiting) {
                    let end = end(task.outcome());
                    if matches!(end, End::Failed(_)) {
                        stop.set_with(StopReason::custom("a step failed"));
                    }
                    *step = Progress::Over(end);
                }
            }
        }
        let end = |step| match step {
            Progress::Over(end) => end,
            _ => End::NeverStarted,
        };
        steps.into_iter().map(end).collect()
    }

    /// The build with these options; gives the status of the process. Once per process, since it handles Ctrl-C.
    pub(crate) fn run_with(options: &[String]) -> Result<u8, Box<dyn Error>> {
        let stop = StopEvent::new();
        ctrlc::set_handler({
            let stop = stop.clone();
            move || {
                stop.set_with(StopReason::custom("interrupted"));
            }
        })?;
        let pool = ThreadPool::builder().threads(3).name("build").build()?;
        let dir = env::temp_dir().join(format!("stoppable-build-{}", std::process::id()));
        fs::create_dir(&dir)?;
        println!("building");
        let ends = build(&pool, &dir, options, &stop);
        fs::remove_dir_all(&dir)?;

        for (step, end) in STEPS.iter().zip(&ends) {
            match end {
                End::Completed(output) => {
                    let lines = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
                    println!("{}: completed, lines: {lines}", step.name);
                }
                End::Failed(why) => println!("{}: failed, {why}", step.name),
                End::Cancelled(output) => {
                    let said = String::from_utf8_lossy(&output.stdout);
                    println!(
                        "{}: cancelled ({}), it said: {}",
                        step.name,
                        output.status,
                        said.trim()
                    );
                }
                End::NeverStarted => println!("{}: never started", step.name),
            }
        }
        if let Some(End::Completed(catalogue)) = ends.last() {
            io::Write::write_all(&mut io::stdout(), &catalogue.stdout)?;
        }
        let interrupted = stop.reason() == Some(StopReason::custom("interrupted"));
        let failed = ends.iter().any(|end| !matches!(end, End::Completed(_)));
        Ok(match (interrupted, failed) {
            (true, _) => 130,
            (false, true) => 1,
            (false, false) => 0,
        })
    }
}
