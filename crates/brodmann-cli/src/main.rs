//! The `brodmann` command: flags in, one call of the library's pipeline, results out.

mod args;
mod commands;
mod failure;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;
use terminal::Terminal;

fn main() -> ExitCode {
    // clap prints usage errors itself and exits with 2, the code for bad input.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let global = cli.global;
    // Output files are written under a temporary name, so an interruption has only those to clear away.
    ctrlc::set_handler(|| {
        commands::bench::folder::remove();
        let kept = match brodmann_data::cleanup_temporary_files() {
            0 => "no output was written; the input is unchanged".to_owned(),
            n => format!("{n} output(s) were complete and stay; nothing else was written"),
        };
        // Not `eprintln`: it panics where nobody reads stderr any more, and this process would then never end.
        let _ = writeln!(std::io::stderr(), "\nerror: interrupted\n\nhint: {kept}");
        std::process::exit(i32::from(failure::INTERRUPTED));
    })
    .map_err(|e| Failure::run(format!("the interrupt handler cannot be installed ({e})")))?;
    if let Some(threads) = global.threads {
        if threads == 0 {
            return Err(Failure::input(
                "--threads is 0, at least 1 was expected; leave it out to use all cores",
            ));
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|e| Failure::run(format!("{threads} threads cannot be started ({e})")))?;
    }
    let terminal =
        Terminal::new(global.quiet || matches!(cli.command, Command::Completions(_)), global.log.as_deref())?;
    let context = commands::Context::new(&global, &terminal);
    let result = match cli.command {
        Command::Demo(a) => commands::demo::run(&context, &a),
        Command::Simulate(a) => commands::simulate::run(&context, &a),
        Command::Convert(a) => commands::convert::run(&context, &a),
        Command::Info(a) => commands::info::run(&context, &a),
        Command::Preprocess(a) => commands::preprocess::run(&context, &a),
        Command::Neighbors(a) => commands::neighbors::run(&context, &a),
        Command::Leiden(a) => commands::leiden::run(&context, &a, false),
        Command::Spatialleiden(a) => commands::leiden::run(&context, &a, true),
        Command::Spami(a) => commands::spami::run(&context, &a),
        Command::Staig(a) => commands::staig::run(&context, &a),
        Command::Cluster(a) => commands::cluster::run(&context, &a),
        Command::Evaluate(a) => commands::evaluate::run(&context, &a),
        Command::Plot(a) => commands::plot::run(&context, &a),
        Command::Bench(a) => commands::bench::run(&context, &a),
        Command::Completions(a) => {
            commands::completions(&a);
            Ok(())
        }
    };
    terminal.finish();
    result
}
