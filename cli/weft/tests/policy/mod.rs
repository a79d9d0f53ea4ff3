//! `weft policy` as a script sees it.

use super::{text, weft};
use std::fs;
use std::path::PathBuf;

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("policy-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        let directory = Self(path);
        for (name, content) in files {
            fs::write(directory.0.join(name), content).expect("a file");
        }
        directory
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path of text").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CEDAR: &str = "permit (principal, action == Action::\"connect\", resource in List::\"team\");\n";

#[test]
fn check_tells_what_is_wrong_with_its_place() {
    let directory = Directory::new(
        "check",
        &[
            ("good.list", "api.example.com:443\ndeny 10.0.0.0/8\n"),
            ("bad.list", "# one\napi.example.com:99999\ninclude none.list\n"),
            ("run.cedar", CEDAR),
            ("bad.cedar", "permit (principal, action, resource)\nwhen { resource.prot == \"tcp\" };\n"),
        ],
    );
    let good = weft(&["policy", "check", &directory.path("good.list")]);
    assert_eq!((good.status.code(), good.stderr.is_empty()), (Some(0), true));
    assert!(text(&good.stdout).ends_with("good.list: 2 rules, 0 policies in Cedar\n"));

    let bad = weft(&["policy", "check", &directory.path("bad.list")]);
    assert_eq!((bad.status.code(), bad.stdout.is_empty()), (Some(1), true));
    let told = text(&bad.stderr);
    assert!(told.contains("bad.list:2:17: expected a port from 1 to 65535"), "{told}");
    assert!(told.contains("bad.list:3:9: ") && told.contains("none.list cannot be read"), "{told}");

    let absent = directory.path("none.list");
    for words in [&["check"][..], &["explain", "connect", "a.example:1"]] {
        let told = weft(&[&["policy", words[0], &absent, "--json"], &words[1..]].concat());
        assert_eq!((told.status.code(), told.stdout.is_empty()), (Some(2), true));
        assert!(text(&told.stderr).contains("none.list cannot be read: "), "{}", text(&told.stderr));
    }

    let cedar = weft(&["policy", "check", &directory.path("bad.cedar"), "--json"]);
    assert_eq!(cedar.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&cedar.stdout).expect("JSON");
    assert_eq!(document["valid"], false);
    assert_eq!((&document["errors"][0]["line"], &document["errors"][0]["column"]), (&2.into(), &8.into()));

    let list = format!("team={}", directory.path("good.list"));
    let named = weft(&["policy", "check", &directory.path("run.cedar"), "--list", &list, "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&named.stdout).expect("JSON");
    assert_eq!((&document["rules"], &document["policies"]), (&2.into(), &1.into()));
    let unnamed = weft(&["policy", "check", &directory.path("run.cedar")]);
    assert!(
        text(&unnamed.stderr).contains("run.cedar:1:61: there is no list \"team\""),
        "{}",
        text(&unnamed.stderr)
    );
}

#[test]
fn explain_and_test_answer_by_their_status() {
    let directory = Directory::new(
        "explain",
        &[
            ("run.list", "*.example.com:443\n"),
            ("met", "allow connect a.example.com:443 by=*.example.com:443\ndeny ping 192.0.2.1 by=-\n"),
            ("unmet", "allow connect a.example.com:80\n"),
            ("wrong", "allow fly a.example.com:80\n"),
            ("bad.list", "?\n"),
        ],
    );
    let run = directory.path("run.list");
    let explain = |words: &[&str]| {
        let output = weft(&[&["policy", "explain", &run], words].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (status, told, _) = explain(&["connect", "tcp://a.example.com:443"]);
    assert_eq!(status, Some(0));
    assert!(told.contains("run.list:1:1: *.example.com:443"), "{told}");
    let (status, told, _) = explain(&["connect", "a.example.com:80", "program=/opt/my program"]);
    assert_eq!(status, Some(1));
    assert!(
        told.contains("no rule allows it") && told.contains("--allow tcp://a.example.com:80 would"),
        "{told}"
    );
    let (status, told, _) = explain(&["connect", "a.example.com:80", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((status, &document["allowed"]), (Some(1), &false.into()));
    let (status, told, wrong) = explain(&["connect", "a.example.com"]);
    assert_eq!((status, told.as_str()), (Some(2), ""));
    assert!(wrong.contains("column 22: expected ':' and a port"), "{wrong}");

    for (file, status) in [("met", 0), ("unmet", 1), ("wrong", 2), ("none", 2)] {
        let output = weft(&["policy", "test", &run, &directory.path(file)]);
        assert_eq!(output.status.code(), Some(status), "{file}: {}", text(&output.stderr));
    }
    let output = weft(&["policy", "test", &run, &directory.path("unmet"), "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&document["met"], &document["unmet"][0]["line"]), (&0.into(), &1.into()));
    let output = weft(&["policy", "test", &directory.path("bad.list"), &directory.path("met")]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn fmt_writes_files_in_one_way_and_checks_that_they_are() {
    let directory = Directory::new(
        "fmt",
        &[
            ("run.list", "allow   a.example # why\n\n\n"),
            ("run.cedar", "permit(principal,action,resource);"),
            ("bad.list", "?\n"),
        ],
    );
    let (list, cedar) = (directory.path("run.list"), directory.path("run.cedar"));
    let check = weft(&["policy", "fmt", "--check", &list, &cedar]);
    assert_eq!((check.status.code(), text(&check.stdout)), (Some(1), format!("{list}\n{cedar}\n")));
    assert_eq!(fs::read_to_string(&list).expect("the file"), "allow   a.example # why\n\n\n");
    assert_eq!(weft(&["policy", "fmt", &list, &cedar]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&list).expect("the file"), "allow a.example  # why\n");
    assert_eq!(fs::read_to_string(&cedar).expect("the file"), "permit (principal, action, resource);\n");
    assert_eq!(weft(&["policy", "fmt", "--check", &list, &cedar]).status.code(), Some(0));
    assert_eq!(fs::read_dir(&directory.0).expect("the directory").count(), 3, "nothing else is left");
    let bad = weft(&["policy", "fmt", &directory.path("bad.list")]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(text(&bad.stderr).contains("bad.list:1:1: expected"), "{}", text(&bad.stderr));
}

#[test]
fn a_policy_that_is_too_deep_is_told_where() {
    let condition = |text: &str| format!("permit (principal, action, resource)\nwhen {{ {text} }};\n");
    let shapes = [
        condition(&format!("{}true{}", "(".repeat(10_000), ")".repeat(10_000))),
        condition(&format!("true{}", " || resource.name == \"a.example\"".repeat(1_000))),
        condition(&"if true then true else ".repeat(1_000)),
        condition(&format!("resource{}", ".name".repeat(10_000))),
        condition(&"!".repeat(10_000)),
        format!("\n{}\"", "[{".repeat(10_000)),
    ];
    for shape in shapes {
        let directory = Directory::new("deep", &[("deep.cedar", &shape)]);
        for (verb, status) in [("check", 1), ("fmt", 2)] {
            let outcome = weft(&["policy", verb, &directory.path("deep.cedar")]);
            let told = text(&outcome.stderr);
            assert_eq!((outcome.status.code(), outcome.stdout.is_empty()), (Some(status), true), "{told}");
            assert!(told.contains("deep.cedar:2:") && told.contains("more than 512 operators"), "{told}");
            assert!(told.contains("help: "), "{told}");
        }
    }
    let much = condition(&format!("resource.port == 1{}", " || resource.port == 1".repeat(160)));
    let directory = Directory::new("deep", &[("much.cedar", &much)]);
    for verb in ["check", "fmt"] {
        let outcome = weft(&["policy", verb, &directory.path("much.cedar")]);
        assert_eq!(outcome.status.code(), Some(0), "{}", text(&outcome.stderr));
    }
}
