//! One way of writing a policy.

use super::complaint::{Complaint, Place, PolicyError};
use super::depth::Depth;
use super::source::Reader;
use super::{cedar, list};
use std::sync::Arc;

/// In which language a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Cedar.
    Cedar,
    /// One rule a line.
    List,
}

impl Language {
    /// Of a file with this name: Cedar where it ends in `.cedar`.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        if path.ends_with(".cedar") { Self::Cedar } else { Self::List }
    }
}

/// The widest line that a policy in Cedar is given.
const LINE_WIDTH: usize = 100;

/// A file's text in the one way of writing it. It means the same, and comments stay.
///
/// ```
/// let formatted = axiom::policy::format("team.list", "allow   example.com:443 # the service\n\n\n")?;
/// assert_eq!(formatted, "allow example.com:443  # the service\n");
/// # Ok::<(), axiom::policy::PolicyError>(())
/// ```
///
/// # Errors
///
/// Where the text cannot be read. Whether it holds against the schema is not asked.
pub fn format(path: &str, text: &str) -> Result<String, PolicyError> {
    let path: Arc<str> = path.into();
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::default();
    match Language::of_path(&path) {
        Language::List => {
            let (_, complaints) = list::parse(&path, text);
            complaints.into_iter().for_each(|complaint| reader.complain(complaint));
            reader.finish()?;
            // A mark in the first rule would be at the text's start now, and no part of it any more.
            Ok(list::format(text).trim_start_matches('\u{feff}').to_owned())
        }
        Language::Cedar => {
            let depth = Depth::of(&path, text).map_err(|wrong| PolicyError { complaints: vec![wrong] })?;
            depth.with_stack_to_write(|| {
                cedar::check_syntax(&path, text, &mut reader);
                reader.finish()?;
                let config = cedar_policy_formatter::Config { line_width: LINE_WIDTH, indent_width: 2 };
                cedar_policy_formatter::policies_str_to_pretty(text, &config).map_err(|error| PolicyError {
                    complaints: vec![Complaint::new(Place::of_offset(&path, text, 0), error.to_string())],
                })
            })
        }
    }
}
