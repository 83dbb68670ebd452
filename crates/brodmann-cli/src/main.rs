//! The `brodmann` command: flags in, one call of the library's pipeline, results out.

mod args;
mod commands;
mod failure;
mod interruption;
mod networks;
mod say;
mod spelling;
mod study;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use args::defaults::{with_defaults, with_options_of_all_told_once};
use args::{Cli, Command};
use brodmann_kernels::diagnosis::speak;
use clap::{CommandFactory, FromArgMatches};
use failure::Failure;
use spelling::CommandLine;
use study::existing::refuse_existing;
use study::flags::Commands;
use terminal::Terminal;

fn main() -> ExitCode {
    // For every thread: errors and notes are worded where they arise.
    speak(&CommandLine);
    brodmann_data::silence_guarded_panics();
    match command_line().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

/// What was typed, refused where it would write over what is there.
fn command_line() -> Result<Cli, Failure> {
    let mut command = with_options_of_all_told_once(with_defaults(Cli::command()));
    let matches = command.try_get_matches_from_mut(std::env::args_os()).map_err(unfit)?;
    let cli = Cli::from_arg_matches(&matches).map_err(unfit)?;
    refuse_existing(&Commands::of(command), &matches, "--force")?;
    Ok(cli)
}

/// A value that no flag can have, in the words of every other refusal. The rest (help, version, usage) clap prints
/// itself, and exits with 2, the code for bad input.
fn unfit(error: clap::Error) -> Failure {
    match study::words::refused_value(&error) {
        Some((message, flag)) => Failure::input(message).hint(format!("choose another value for {flag}")),
        None => error.exit(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let global = cli.global;
    // Output files are written under a temporary name, so an interruption has only those to clear away.
    interruption::heed(|code| {
        commands::bench::folder::remove();
        let kept = match (brodmann_data::cleanup_temporary_files(), commands::run::on_the_way()) {
            (_, Some(kept)) => kept,
            (0, None) => "no output was written; the input is unchanged".to_owned(),
            (n, None) => format!("{n} output(s) were complete and stay; nothing else was written"),
        };
        // Not `eprintln`: it panics where nobody reads stderr any more, and this process would then never end.
        let kept = brodmann_kernels::diagnosis::legible(&kept);
        let _ = writeln!(std::io::stderr(), "\nerror: interrupted\n\nhint: {kept}");
        std::process::exit(code);
    })
    .map_err(|e| Failure::run(format!("the interrupt handler cannot be installed ({e})")))?;
    if global.max_memory.is_some() {
        brodmann_data::memory::set_max_memory(global.max_memory);
    }
    brodmann_data::set_follow_external(global.follow_external);
    if let Some(threads) = global.threads {
        commands::use_threads(threads)?;
    }
    let terminal =
        Terminal::new(global.quiet || matches!(cli.command, Command::Completions(_)), global.log.as_deref())?;
    let context = commands::Context::new(&global, &terminal);
    let result = commands::dispatch(&context, cli.command);
    terminal.finish();
    result?;
    let warnings = terminal.warnings();
    if global.strict && !warnings.is_empty() {
        return Err(Failure::warned(&warnings));
    }
    Ok(())
}
