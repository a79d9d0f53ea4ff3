//! How long files and functions are.

use super::Finding;
use super::source::Source;

/// What a file should not pass, without its tests.
pub const FILE_LINES_AIM: usize = 400;
/// What a file may not pass, without its tests.
pub const FILE_LINES_MAX: usize = 600;
/// What a file of nothing but tests may not pass: long and flat is readable.
pub const TEST_FILE_LINES_MAX: usize = 1_000;
/// What a function may not pass, from `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Whether a file has more lines than it should.
pub fn is_over_the_aim(source: &Source) -> bool {
    !source.is_all_tests() && file_lines(source) > FILE_LINES_AIM
}

fn file_lines(source: &Source) -> usize {
    let is_counted = |line: &usize| source.is_all_tests() || !source.is_test(*line);
    (0..source.lines.len()).filter(is_counted).count()
}

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file_lines(source);
    let most = if source.is_all_tests() { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
    if lines > most {
        let text = format!("{lines} lines, at most {most}");
        findings.push(Finding::new("file-lines", &source.path, 1, text).measuring(lines));
    }
    for function in &source.functions {
        let lines = function.lines.len();
        if lines > FUNCTION_LINES_MAX {
            let text = format!("{} has {lines} lines, at most {FUNCTION_LINES_MAX}", function.name);
            let finding = Finding::new("function-lines", &source.path, function.lines.start + 1, text);
            findings.push(finding.of(&function.name).measuring(lines));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::read(Path::new(path), text)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn long_files_are_found_without_counting_their_tests() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // line\n".repeat(500));
        let long = "// line\n".repeat(FILE_LINES_MAX + 1);
        let fits = "// line\n".repeat(FILE_LINES_MAX);
        assert_eq!(rules("a.rs", &(fits.clone() + &tests)), [""; 0]);
        assert_eq!(rules("a.rs", &long), ["file-lines"]);
        assert_eq!(rules("tests/a.rs", &long), [""; 0]);
        assert_eq!(rules("tests/a.rs", &(fits + &tests)), ["file-lines"]);
    }

    #[test]
    fn long_functions_are_found_in_tests_too() {
        let function = |body| format!("fn f() {{\n{}}}\n", "    x();\n".repeat(body));
        assert_eq!(rules("a.rs", &function(FUNCTION_LINES_MAX - 2)), [""; 0]);
        assert_eq!(rules("a.rs", &function(FUNCTION_LINES_MAX - 1)), ["function-lines"]);
        assert_eq!(rules("tests/a.rs", &function(FUNCTION_LINES_MAX - 1)), ["function-lines"]);
    }
}
