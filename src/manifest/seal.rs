//! The line that says a file was made, with the sum of the rest: a file that was edited by hand can be told from one that was not. Pure.

const MADE: &str = "# Made by msctl generate; edit msctl.yaml instead. Sum: ";

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Made by msctl, and as it was made.
    Whole,
    /// Made by msctl, and edited since.
    Edited,
    /// Made by somebody else.
    Foreign,
}

/// `head`, the line, `body`.
pub fn seal(head: &str, body: &str) -> String {
    format!("{head}{MADE}{}\n{body}", sum(&format!("{head}{body}")))
}

/// What this file says of itself. Line ends may have been changed on the way (git does on Windows).
pub fn mark(text: &str) -> Mark {
    let text = text.replace("\r\n", "\n");
    let Some((at, line)) = lines(&text).find(|(_, line)| line.starts_with(MADE)) else {
        return Mark::Foreign;
    };
    let rest = format!("{}{}", &text[..at], &text[at + line.len()..]);
    if line[MADE.len()..].trim_end() == sum(&rest) {
        Mark::Whole
    } else {
        Mark::Edited
    }
}

/// Lines with their ends, and where each begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |next, line| {
        let at = *next;
        *next += line.len();
        Some((at, line))
    })
}

fn sum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_anywhere_is_seen() {
        let made = seal("# syntax=x\n", "FROM a\nUSER b\n");
        assert_eq!(mark(&made), Mark::Whole);
        assert_eq!(mark(&made.replace('\n', "\r\n")), Mark::Whole);
        for edited in [
            made.replace("USER b\n", ""),
            made.replace("syntax=x", "syntax=y"),
            made.clone() + "\n",
            made.replace("Sum: ", "Sum: 0"),
        ] {
            assert_eq!(mark(&edited), Mark::Edited, "{edited}");
        }
        for foreign in ["", "FROM a\n", "# Made by hand\n", &made.replace(MADE, "# ")] {
            assert_eq!(mark(foreign), Mark::Foreign, "{foreign}");
        }
    }
}
