//! Tools of every day: git, ssh, psql, npm.

use std::fs;
use std::path::Path;
use std::process::Command;

use interop::peers::{nginx, postgres, registry, sshd};
use interop::{User, Way, World, needs, programs};

/// A repository with one commit, of a file `large` that makes the clone longer than any buffer.
fn repository(world: &World) {
    let (work, bare) = (world.directory().join("work"), world.directory().join("repository.git"));
    fs::create_dir(&work).expect("a directory for the repository");
    let lines: String =
        (0..200_000_u32).map(|line| format!("{}\n", line.wrapping_mul(2_654_435_761))).collect();
    fs::write(work.join("large"), lines).expect("a large file");
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    git(&work, &["add", "large"]);
    git(
        &work,
        &[
            "-c",
            "user.name=tester",
            "-c",
            "user.email=tester@one.test",
            "commit",
            "--quiet",
            "-m",
            "One commit",
        ],
    );
    git(&work, &["clone", "--quiet", "--bare", ".", bare.to_str().expect("a path in UTF-8")]);
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new(programs::path("git"));
    let done =
        command.args(arguments).current_dir(directory).env("HOME", directory).output().expect("git runs");
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn git_clones_over_https_the_allowed_name_alone() {
    needs!["git", "nginx", "fcgiwrap", "openssl"];
    let world = World::new();
    world.name("one.test");
    world.name("two.test");
    repository(&world);
    let _servers = nginx::serve_git(&world, &["one.test", "two.test"]);
    let authority = world.authority().certificate();
    for user in [User::Root, User::Ordinary] {
        let way = Way { user, ..Way::default() };
        let run = || {
            let run = world
                .weft_as(way)
                .allow("one.test:443")
                .variable("GIT_SSL_CAINFO", authority.to_string_lossy());
            run.variable("GIT_TERMINAL_PROMPT", "0")
        };
        let script =
            "rm -rf clone; git clone --quiet https://$0/git/repository.git clone && wc -l < clone/large";
        let _ = run().output(&["sh", "-c", script, "one.test"]).succeeded().printed("200000");
        fs::remove_dir_all(world.home().join("clone")).expect("the clone can be removed");
        let _ = run()
            .output(&["sh", "-c", script, "two.test"])
            .exited(128)
            .told("Could not resolve host: two.test");
    }
}

#[test]
fn git_clones_over_ssh() {
    needs!["git", "ssh", "sshd", "ssh-keygen"];
    let world = World::new();
    world.name("one.test");
    repository(&world);
    let (server, client) = sshd::serve(&world);
    let way = Way { user: User::Ordinary, ..Way::default() };
    let run = world.weft_as(way).allow("one.test:22").variable("GIT_SSH_COMMAND", client);
    let path = world.directory().join("repository.git");
    let script = "git clone --quiet ssh://one.test$0 clone && wc -l < clone/large";
    let outcome = run.output(&["sh", "-c", script, path.to_str().expect("a path in UTF-8")]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome}\n--- sshd\n{}", server.log());
    let _ = outcome.printed("200000");
}

#[test]
fn psql_queries_a_database_with_and_without_tls() {
    needs!["psql", "postgres", "initdb", "openssl"];
    let world = World::new();
    world.name("one.test");
    let server = postgres::serve(&world, "one.test");
    let trust = world.authority().certificate();
    for security in
        ["sslmode=disable".to_owned(), format!("sslmode=verify-full sslrootcert={}", trust.display())]
    {
        let to = format!("host=one.test user=tester dbname=postgres {security}");
        let query = "select count(*), sum(length(repeat('x', n))) from generate_series(1, 2000) n";
        let outcome = world.weft().allow("one.test:5432").output(&["psql", "-At", "-c", query, &to]);
        assert_eq!(outcome.status.code(), Some(0), "{outcome}\n--- postgres\n{}", server.log());
        let _ = outcome.printed("2000|2001000");
    }
    let to = "host=203.0.113.80 user=tester dbname=postgres";
    let _ = world
        .weft()
        .allow("one.test:5432")
        .output(&["psql", "-c", "select 1", to])
        .exited(2)
        .told("Connection refused");
}

#[test]
fn npm_installs_from_the_allowed_registry_alone() {
    needs!["npm", "node", "openssl"];
    let world = World::new();
    world.name("registry.test");
    world.name("elsewhere.test");
    let _server = registry::serve(&world, "registry.test");
    let authority = world.authority().certificate();
    let way = Way { user: User::Ordinary, ..Way::default() };
    let run = |registry: &str| {
        let run = world.weft_as(way).allow("registry.test:443");
        let run = run.variable("npm_config_registry", format!("https://{registry}/"));
        let run = run.variable("npm_config_cafile", authority.to_string_lossy());
        run.variable("npm_config_update_notifier", "false").variable("npm_config_fetch_retries", "0")
    };
    let script = "mkdir -p project && cd project && npm install --no-audit --no-fund left && node -p 'require(\"left\")'";
    let _ = run("registry.test").output(&["sh", "-c", script]).succeeded().printed("left of right");
    let script = "npm install --no-audit --no-fund --prefix other left";
    let _ = run("elsewhere.test").output(&["sh", "-c", script]).failed().told("ENOTFOUND");
    assert!(!world.resolver.was_asked("elsewhere.test"));
}
