//! What the user types: the command line as clap types, and what happens when it cannot be read.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::commands::Verb;
use crate::config::environment::Environment;
use crate::failure::{Exit, Failure, Kind};
use crate::ui::{Output, Ui};

/// Takes a microservice from nothing to a safe release, and keeps watching it.
#[derive(Debug, Parser)]
#[command(
    name = "msctl",
    version,
    max_term_width = 100,
    disable_help_flag = true,
    arg_required_else_help = true
)]
pub struct Typed {
    /// What goes to stdout (auto: human, or ci when CI is set)
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        env = "MSCTL_OUTPUT",
        help_heading = "Everywhere"
    )]
    pub output: Option<Output>,

    /// The service's directory (default: the current one)
    #[arg(short = 'C', long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub directory: Option<std::path::PathBuf>,

    /// Print help; all of it: `msctl help VERB`
    #[arg(short, long, global = true, action = clap::ArgAction::HelpShort, help_heading = "Everywhere")]
    help: Option<bool>,

    /// The verb and its arguments
    #[command(subcommand)]
    pub verb: Verb,
}

/// The whole command line, for completions, man pages and docs.
pub fn command() -> clap::Command {
    Typed::command()
}

/// Reads the command line.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Typed, Early> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = asks_for_json(&arguments);
    Typed::try_parse_from(arguments).map_err(|error| Early { error, json })
}

/// The run ends before a command starts: help, version, or a command line that cannot be read.
#[derive(Debug)]
pub struct Early {
    error: clap::Error,
    json: bool,
}

impl Early {
    /// Writes it where it belongs; gives the exit code.
    pub fn show(&self, environment: &Environment) -> u8 {
        let ui = Ui::new(self.json.then_some(Output::Json), environment);
        let exit = match self.error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                ui.data(&ui.paint().dressed(&self.error.render()));
                Exit::Done
            }
            _ => {
                if self.json {
                    let first = self.error.to_string();
                    let message = first.lines().next().unwrap_or_default().trim_start_matches("error: ");
                    ui.failure(&Failure::new(Kind::Usage, message).hint("msctl help"));
                } else {
                    ui.note(self.error.render().to_string().trim_end());
                }
                Exit::CouldNotTell
            }
        };
        match ui.finish() {
            Err(failure) => ui.failure(&failure).code(),
            Ok(()) => exit.code(),
        }
    }
}

/// Whether JSON was asked for, in a line that clap could not read.
fn asks_for_json(arguments: &[OsString]) -> bool {
    arguments.iter().any(|a| a == "--output=json")
        || arguments
            .windows(2)
            .any(|pair| pair[0] == "--output" && pair[1] == "json")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}
