//! The terminal: the command has it as it would have without a sandbox.

use crate::harness::Copy;
use crate::session::Session;

pub fn control_c_reaches_the_command_and_is_told() {
    let copy = Copy::make();
    let path = copy.path();
    let path = path.display();
    // The command ignores it first, so that the gateway lives to tell.
    let script = format!(
        "exec {path} launch veth sh -c 'trap \"echo caught; exec {path} inside await-signal awaiting\" INT; echo ready; \
         while :; do sleep 0.1; done'"
    );
    let mut session = Session::start(&script);
    session.until_shown("ready", 1);
    session.type_in("\x03");
    session.until_shown("interrupted 1", 1);
    session.until_shown("caught", 1);
    session.until_shown("awaiting", 1);
    session.type_in("\x03");
    assert_eq!(session.end().0, Some(40 + libc::SIGINT));
}

pub fn control_z_stops_the_whole_job() {
    let copy = Copy::make();
    let path = copy.path();
    let path = path.display();
    // A shell with job control sees the launcher stop, and brings it back to the foreground.
    let script = format!(
        "set -m; {path} launch veth sh -c 'echo ready; read line; echo got $line; exit 9'; echo stopped $?; \
         echo again; fg; echo ended $?"
    );
    let mut session = Session::start(&script);
    session.until_shown("ready", 1);
    session.type_in("\x1a");
    session.until_shown("again", 1);
    assert!(session.shown.contains(&format!("stopped {}", 128 + libc::SIGTSTP)), "{}", session.shown);
    session.type_in("hello\n");
    session.until_shown("got hello", 1);
    session.until_shown("ended 9", 1);
    assert_eq!(session.end().0, Some(0));
}

pub fn a_terminal_of_its_own_takes_the_place_of_the_other() {
    let copy = Copy::make();
    let path = copy.path();
    let path = path.display();
    // The other is covered where it is found; a group that is stopped goes on, as it has its parent in another one.
    let inside = "test \"$(tty)\" != \"$0\" && test -t 1 && echo other; cmp \"$0\" /dev/null && echo nothing; \
                  stty size; exec 9< /dev/tty && echo open; kill -s TSTP $$; echo went on; exit 7";
    let script = format!(
        "stty rows 7 cols 77; exec {path} launch veth --own-terminal sh -c '{inside}' \"$(tty)\" 2> /dev/null"
    );
    let mut session = Session::start(&script);
    session.until_shown("went on", 1);
    for text in ["stopped", "other\r", "nothing\r", "7 77", "open"] {
        assert!(session.shown.contains(text), "{text}: {}", session.shown);
    }
    assert_eq!(session.end().0, Some(7));
}

pub fn nothing_is_typed_into_the_terminal() {
    let copy = Copy::make();
    let path = copy.path();
    let mut session = Session::start(&format!("exec {0} launch veth {0} inside type", path.display()));
    session.until_shown("other requests true", 1);
    assert!(session.shown.contains("TIOCSTI PermissionDenied"), "{}", session.shown);
    assert!(session.shown.contains("TIOCLINUX PermissionDenied"), "{}", session.shown);
    assert_eq!(session.end().0, Some(0));
}
