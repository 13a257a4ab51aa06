//! Questions on a terminal. Each has another way to be answered, so none is asked where there is no terminal.

use dialoguer::theme::ColorfulTheme;
use dialoguer::{Input, MultiSelect};

use super::Ui;
use crate::failure::{Failure, Kind};

impl Ui {
    /// Asks for a text until `check` takes it.
    pub fn ask_text(
        &self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<String, Failure> {
        let theme = theme();
        let mut input = Input::<String>::with_theme(&theme).with_prompt(question);
        if let Some(default) = default {
            input = input.default(default.to_owned());
        }
        input
            .validate_with(|text: &String| check(text))
            .interact_text()
            .map_err(|error| unanswered(question, error))
    }

    /// Asks which of these; `chosen` are those that are marked at first. Gives the places of the marked ones.
    pub fn ask_which(&self, question: &str, items: &[(String, bool)]) -> Result<Vec<usize>, Failure> {
        MultiSelect::with_theme(&theme())
            .with_prompt(format!("{question} (space marks, enter goes on)"))
            .items_checked(items.iter().map(|(item, chosen)| (item, *chosen)))
            .interact()
            .map_err(|error| unanswered(question, error))
    }
}

fn theme() -> ColorfulTheme {
    ColorfulTheme::default()
}

fn unanswered(question: &str, error: dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    if error.kind() == std::io::ErrorKind::Interrupted {
        Failure::new(Kind::Interrupted, format!("interrupted at the question `{question}`"))
    } else {
        Failure::new(Kind::Io, format!("cannot ask `{question}`")).caused_by(error)
    }
}
