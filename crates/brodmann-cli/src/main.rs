//! The `brodmann` command: flags in, one call of the library's pipeline, results out.

mod args;
mod commands;
mod failure;
mod say;
mod spelling;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use args::defaults::with_defaults;
use args::{Cli, Command};
use brodmann_kernels::OptionError;
use brodmann_kernels::diagnosis::speak;
use clap::error::ContextKind;
use clap::{CommandFactory, FromArgMatches};
use failure::Failure;
use spelling::CommandLine;
use terminal::Terminal;

fn main() -> ExitCode {
    // For every thread: errors and notes are worded where they arise.
    speak(&CommandLine);
    let parsed = with_defaults(Cli::command())
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(unfit);
    match parsed.and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

/// A value that no flag can have, in the words of every other refusal. The rest (help, version, usage) clap prints
/// itself, and exits with 2, the code for bad input.
fn unfit(error: clap::Error) -> Failure {
    let text = |kind| error.get(kind).map(ToString::to_string);
    let source = std::error::Error::source(&error).map(|source| {
        if source.is::<std::num::ParseIntError>() {
            "expected a whole number of 0 or more".to_owned()
        } else {
            source.to_string()
        }
    });
    match (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue), source) {
        (Some(arg), Some(value), Some(expected)) => {
            let flag = arg.split_whitespace().next().unwrap_or(&arg).to_owned();
            Failure::input(format!("{flag} is {value:?}; {expected}"))
                .hint(format!("choose another value for {flag}"))
        }
        _ => error.exit(),
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
            let error = OptionError::new("threads", 0, "at least 1");
            return Err(error.advise("leave it out to use all cores").into());
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
        Command::Qc(a) => commands::qc::run(&context, &a),
        Command::Preprocess(a) => commands::preprocess::run(&context, &a),
        Command::Neighbors(a) => commands::neighbors::run(&context, &a),
        Command::Leiden(a) => commands::methods::leiden(&context, &a, false),
        Command::Spatialleiden(a) => commands::methods::leiden(&context, &a, true),
        Command::Spami(a) => commands::methods::spami(&context, &a),
        Command::Staig(a) => commands::methods::staig(&context, &a),
        Command::Domains(a) => commands::methods::domains(&context, &a),
        Command::Banksy(a) => commands::methods::banksy(&context, &a),
        Command::SmoothedPca(a) => commands::methods::smoothed_pca(&context, &a),
        Command::Mixture(a) => commands::methods::mixture(&context, &a),
        Command::Cluster(a) => commands::methods::cluster(&context, &a),
        Command::Markers(a) => commands::explain::markers(&context, &a),
        Command::Enrich(a) => commands::explain::enrich(&context, &a),
        Command::Svg(a) => commands::explain::svg(&context, &a),
        Command::Neighborhood(a) => commands::explain::neighborhood(&context, &a),
        Command::Evaluate(a) => commands::evaluate::run(&context, &a),
        Command::Plot(a) => commands::plot::run(&context, &a),
        Command::Bench(a) => commands::bench::run(&context, &a),
        Command::Completions(a) => commands::completions(&a),
    };
    terminal.finish();
    result?;
    let warnings = terminal.warnings();
    if global.strict && !warnings.is_empty() {
        return Err(Failure::warned(&warnings));
    }
    Ok(())
}
