//! `--write FORMAT=FILE`: the answer in the forms that CI systems read.

use std::path::{Path, PathBuf};

use super::super::{Context, file};
use crate::config::yaml::one_of;
use crate::failure::{Failure, Kind};
use crate::gate::GateReport;
use crate::gate::report::{Format, seen_from};

/// One of them, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    format: Format,
    file: PathBuf,
}

/// `sarif=gate.sarif`
pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    let words = Format::ALL.map(Format::word);
    let Some((word, file)) = text.split_once('=') else {
        return Err(format!(
            "it has the form FORMAT=FILE, FORMAT being {}",
            one_of("", &words)
        ));
    };
    let Some(format) = Format::ALL.into_iter().find(|format| format.word() == word) else {
        return Err(format!(
            "there is no format `{}`: {}",
            word.escape_debug(),
            one_of(word, &words)
        ));
    };
    match file {
        "" => Err(format!("no file is named: {word}=FILE")),
        "-" => Err(format!("stdout has the report already; name a file: {word}=FILE")),
        file => Ok(Wanted {
            format,
            file: file.into(),
        }),
    }
}

/// Two forms cannot be in one file.
pub(super) fn refuse_doubles(wanted: &[Wanted]) -> Result<(), Failure> {
    for (at, one) in wanted.iter().enumerate() {
        if wanted[..at].iter().any(|other| other.file == one.file) {
            let message = format!("`--write` names `{}` twice", one.file.display());
            return Err(Failure::new(Kind::Usage, message));
        }
    }
    Ok(())
}

/// Writes each, whatever becomes of the others; gives those that could not be written.
pub(super) fn write(wanted: &[Wanted], context: &Context, report: &GateReport) -> Vec<Failure> {
    let seen = seen_from(report, context.directory());
    let write = |one: &Wanted| {
        let report = if one.format == Format::Json { report } else { &seen }; // JSON is as --output has it
        write_one(&context.path(&one.file), &one.format.render(report))
    };
    wanted.iter().filter_map(|one| write(one).err()).collect()
}

/// A link is not followed: whoever wrote the tree that was judged may have put it there.
fn write_one(path: &Path, text: &str) -> Result<(), Failure> {
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        let message = format!("cannot write `{}`: it is there and is no file", path.display());
        return Err(Failure::new(Kind::Io, message));
    }
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, error))?;
    }
    file::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_names_a_format_and_a_file() {
        let ok = wanted("junit=out/a=b.xml").expect("a format and a file");
        assert_eq!(
            (ok.format, ok.file.as_path()),
            (Format::Junit, Path::new("out/a=b.xml"))
        );
        for (text, says) in [
            ("sarif", "FORMAT=FILE"),
            ("sarrif=a", "did you mean `sarif`?"),
            ("=a", "one of: json, sarif, junit"),
            ("SARIF=a", "there is no format `SARIF`"),
            ("html=", "no file is named: html=FILE"),
            ("html=-", "name a file"),
        ] {
            let error = wanted(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
