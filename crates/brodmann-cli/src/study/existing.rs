//! What a command would write over.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::flags::{Commands, FORCE, Role, names_folder, role};
use crate::failure::Failure;

/// Refuses a command of which an output exists already, unless it was told to replace it. It has looked at no input by
/// then, so nothing of a long run is lost.
///
/// An output that is an input is left to the command, which has better advice.
/// `commands`: those that `matches` was parsed with. `force`: what is typed to replace it.
pub fn refuse_existing(commands: &Commands, matches: &ArgMatches, force: &str) -> Result<(), Failure> {
    let Some((name, given)) = matches.subcommand() else { return Ok(()) };
    let Some(flags) = commands.find(name) else { return Ok(()) };
    if flags.by_id(FORCE).is_none() || given.get_one::<bool>(FORCE).is_some_and(|force| *force) {
        return Ok(());
    }
    let paths = |arg: &Arg| -> Vec<PathBuf> {
        let id = arg.get_id().as_str();
        // A name that nobody gave, such as the demo's folder, is the program's own.
        let is_said = given.value_source(id) == Some(ValueSource::CommandLine);
        given.get_many::<PathBuf>(id).filter(|_| is_said).into_iter().flatten().cloned().collect()
    };
    let inputs = flags.input().map(paths).unwrap_or_default();
    for arg in flags.args().filter(|arg| role(arg) == Role::Writes) {
        for path in paths(arg) {
            if let Some(there) = existing(&path, &inputs, names_folder(arg)) {
                let hint = format!("name another with --{}, or replace it with {force}", flags.key(arg));
                let message = format!("the output {} exists already", there.display());
                return Err(Failure::input(message).hint(hint));
            }
        }
    }
    Ok(())
}

/// What would be lost of what is at a path.
fn existing(path: &Path, inputs: &[PathBuf], is_folder: bool) -> Option<PathBuf> {
    let is_input = |path: &Path| inputs.iter().any(|input| brodmann_data::check_output(input, path).is_err());
    let found = std::fs::metadata(path).ok()?;
    if found.is_file() || path.extension().is_some_and(|ending| ending == "zarr") {
        return (!is_input(path)).then(|| path.to_owned());
    }
    if !found.is_dir() {
        return None;
    }
    if is_folder {
        let is_empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        return (!is_empty).then(|| path.to_owned());
    }
    // It takes a copy of each input.
    let copies = inputs.iter().filter_map(|input| Some(path.join(input.file_name()?)));
    copies.into_iter().find(|copy| copy.exists() && !is_input(copy))
}
