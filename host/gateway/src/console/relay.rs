//! Carries what is typed and shown between the person's terminal and the command's own, and asks in between.

use super::lines::Lines;
use super::person::Person;
use super::prompt::{Answer, Prompt};
use crate::sandbox::signal_foreground;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::termios::{LocalModes, SpecialCodeIndex};

/// How many bytes that the command showed wait for the person's terminal; then the command waits.
const SHOWN_BYTES_MAX: usize = 64 * 1_024;
/// How many typed bytes wait for the command's terminal, which keeps as many itself; then they wait where they were typed.
const TYPED_BYTES_MAX: usize = 4_096;
/// How many bytes one read takes.
const READ_BYTES: usize = 4_096;
/// How often both directions have their turn before the rest of the gateway has its own.
const ROUNDS_MAX: usize = 16;

/// What the person said to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// This.
    Answer(Answer),
    /// Nothing: the line ended without a word (Ctrl-D).
    Nothing,
}

/// See the module. Descriptors are edge-triggered: what they told is remembered until it turns out to be over.
#[derive(Debug)]
pub(crate) struct Console {
    person: Person,
    /// The near end of the command's terminal, as long as there are both ends to carry between.
    near: Option<OwnedFd>,
    /// The command's own process group.
    command: Pid,
    /// How often the command was interrupted by a key.
    interrupts: u32,
    asking: Option<Asking>,
    heard: Option<Heard>,
    to_person: Vec<u8>,
    to_command: Vec<u8>,
    lines: Option<Lines>,
    /// Whether the terminal knows no sequences.
    is_plain: bool,
    /// The last byte that was shown, to begin a line of our own behind it.
    last: u8,
    typed: bool,
    shown: bool,
    takes_typed: bool,
    takes_shown: bool,
    has_work: bool,
    is_gone: bool,
}

#[derive(Debug)]
struct Asking {
    prompt: Prompt,
    /// What has been read of a line.
    line: Vec<u8>,
}

impl Console {
    /// Between `person` and the terminal of the process group `command`, with weft's own `lines` where standard error is the
    /// person's terminal.
    pub fn new(
        person: Person,
        (near, command): (OwnedFd, Pid),
        lines: Option<Lines>,
    ) -> rustix::io::Result<Self> {
        rustix::io::ioctl_fionbio(&near, true)?;
        let is_plain = std::env::var_os("TERM").is_none_or(|kind| kind.is_empty() || kind == "dumb");
        Ok(Self {
            person,
            near: Some(near),
            command,
            interrupts: 0,
            asking: None,
            heard: None,
            to_person: Vec::new(),
            to_command: Vec::new(),
            lines,
            is_plain,
            last: b'\n',
            typed: true,
            shown: true,
            takes_typed: true,
            takes_shown: true,
            has_work: false,
            is_gone: false,
        })
    }

    /// The person's terminal, and the near end of the command's, to be polled.
    pub fn descriptors(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        (self.person.as_fd(), self.near.as_ref().map(AsFd::as_fd))
    }

    /// The command is about to run: from here on the terminal is the console's.
    pub fn begin(&mut self) {
        if let Some(lines) = &self.lines {
            lines.hold();
        }
        self.person.pass_everything();
    }

    /// The person's terminal reported.
    pub fn handle_person(&mut self, readable: bool, writable: bool) {
        self.typed |= readable;
        self.takes_shown |= writable;
    }

    /// The command's terminal reported.
    pub fn handle_command(&mut self, readable: bool, writable: bool) {
        self.shown |= readable;
        self.takes_typed |= writable;
    }

    /// Carries what can be carried.
    pub fn turn(&mut self) {
        self.has_work = false;
        for round in 0..ROUNDS_MAX {
            let moved = match self.is_asking() {
                true => self.show() | self.listen(),
                false => {
                    self.say_lines() | self.take_shown() | self.show() | self.take_typed() | self.type_on()
                }
            };
            if !moved {
                return;
            }
            self.has_work = round + 1 == ROUNDS_MAX;
        }
    }

    /// Whether there is more to carry at once.
    pub fn has_work(&self) -> bool {
        self.has_work
    }

    /// Whether a question waits for its answer, or an answer for being taken: the terminal is not the command's then.
    pub fn is_asking(&self) -> bool {
        self.asking.is_some() || self.heard.is_some()
    }

    /// Whether nobody is there to be asked.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether all that the command showed is on the screen, and none of it can show more.
    pub fn is_drained(&self) -> bool {
        self.is_gone || self.near.is_none() && self.to_person.is_empty()
    }

    /// Asks. The answer comes from [`poll_heard`](Self::poll_heard).
    pub fn ask(&mut self, prompt: Prompt) {
        // What was shown before it asked comes before the question.
        self.say_lines();
        self.shown = true;
        while self.take_shown() {}
        self.begin_line();
        self.say(&prompt.to_text(self.is_plain));
        self.asking = Some(Asking { prompt, line: Vec::new() });
        self.person.read_lines();
        self.typed = true;
    }

    /// What was said to the question.
    pub fn poll_heard(&mut self) -> Option<Heard> {
        self.heard.take()
    }

    /// No question is left: the terminal is the command's again. A program that draws a whole screen is told to do so.
    pub fn go_on(&mut self) {
        self.person.pass_everything();
        (self.typed, self.shown) = (true, true);
        let foreground = self.near.as_ref().and_then(|near| rustix::termios::tcgetpgrp(near).ok());
        if let Some(group) = foreground {
            // A group that has ended draws nothing.
            let _ = rustix::process::kill_process_group(group, Signal::WINCH);
        }
    }

    /// The question is asked no more.
    pub fn withdraw(&mut self) {
        if self.asking.take().is_some() {
            self.say("\r\n");
            self.go_on();
        }
        self.heard = None;
    }

    /// How often the command was interrupted by a key (Ctrl-C) since the last call, as far as its own group was in the
    /// foreground and no program that it has put there. It has had the signal already.
    pub fn take_interrupts(&mut self) -> u32 {
        std::mem::take(&mut self.interrupts)
    }

    /// A key at the person's terminal meant a signal: it is the command's.
    pub fn pass_signal(&mut self, signal: Signal) {
        if let Some(near) = &self.near {
            self.interrupts += u32::from(signal == Signal::INT && self.has_foreground());
            signal_foreground(near.as_fd(), signal);
        }
    }

    /// The person's terminal has another size.
    pub fn resize(&mut self) {
        if let (Some(size), Some(near)) = (self.person.size(), &self.near) {
            // One that is gone has no size.
            let _ = rustix::termios::tcsetwinsize(near, size);
        }
    }

    /// The terminal is the shell's, as long as the gateway is stopped.
    pub fn suspend(&mut self) {
        self.person.restore();
    }

    /// It is ours again.
    pub fn resume(&mut self) {
        self.resize();
        match self.asking.take() {
            Some(Asking { prompt, .. }) => self.ask(prompt),
            None => self.go_on(),
        }
    }

    /// The command has ended, and everything inside with it: shows the rest, and leaves the terminal as it was found.
    pub fn finish(&mut self) {
        self.asking = None;
        self.person.wait_for_room();
        self.takes_shown = true;
        self.shown = true;
        while self.take_shown() | self.show() {}
        self.person.restore();
    }

    /// Shows what waits for the person's terminal. Whether anything of it was.
    fn show(&mut self) -> bool {
        let mut moved = false;
        while self.takes_shown && !self.to_person.is_empty() {
            match self.person.write(&self.to_person) {
                Ok(count) => {
                    self.to_person.drain(..count);
                    moved = true;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.takes_shown = false,
                Err(_) => self.hang_up(),
            }
        }
        moved
    }

    /// Takes what the command shows.
    fn take_shown(&mut self) -> bool {
        let mut room = [0; READ_BYTES];
        let Some(near) = self.near.as_ref().filter(|_| self.shown && self.to_person.len() < SHOWN_BYTES_MAX)
        else {
            return false;
        };
        match rustix::io::read(near, &mut room) {
            Ok(count @ 1..) => {
                self.to_person.extend(&room[..count]);
                self.last = room[count - 1];
                true
            }
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => {
                self.shown = false;
                false
            }
            // EIO: nobody has the far end any more, and its session's leader has ended.
            Ok(_) | Err(_) => {
                self.near = None;
                false
            }
        }
    }

    /// Takes what is typed for the command.
    fn take_typed(&mut self) -> bool {
        let mut room = [0; READ_BYTES];
        if !self.typed || self.to_command.len() >= TYPED_BYTES_MAX {
            return false;
        }
        match self.person.read(&mut room) {
            Ok(count @ 1..) => {
                self.to_command.extend(&room[..count]);
                self.count_interrupts(&room[..count]);
                true
            }
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => {
                self.typed = false;
                false
            }
            Ok(_) | Err(_) => {
                self.hang_up();
                false
            }
        }
    }

    /// Counts the keys that its terminal makes interrupts of.
    fn count_interrupts(&mut self, typed: &[u8]) {
        let modes = self.near.as_ref().and_then(|near| rustix::termios::tcgetattr(near).ok());
        let Some(modes) = modes.filter(|modes| modes.local_modes.contains(LocalModes::ISIG)) else { return };
        let key = modes.special_codes[SpecialCodeIndex::VINTR];
        let count = typed.iter().filter(|byte| **byte == key).count() as u32;
        if count > 0 && self.has_foreground() {
            self.interrupts += count;
        }
    }

    /// Whether the command's own group is in the foreground.
    fn has_foreground(&self) -> bool {
        self.near.as_ref().is_some_and(|near| rustix::termios::tcgetpgrp(near) == Ok(self.command))
    }

    /// Types for the command.
    fn type_on(&mut self) -> bool {
        let Some(near) = self.near.as_ref().filter(|_| self.takes_typed && !self.to_command.is_empty())
        else {
            return false;
        };
        match rustix::io::write(near, &self.to_command) {
            Ok(count) => {
                self.to_command.drain(..count);
                true
            }
            Err(Errno::INTR) => true,
            Err(_) => {
                self.takes_typed = false;
                false
            }
        }
    }

    /// Takes what is typed at a question.
    fn listen(&mut self) -> bool {
        let mut room = [0; READ_BYTES];
        if !self.typed {
            return false;
        }
        match self.person.read(&mut room) {
            Ok(0) if !self.person.is_gone() => self.take_answer(Some(Heard::Nothing)),
            Ok(count @ 1..) => {
                let Some(Asking { line, .. }) = &mut self.asking else { return false };
                line.extend(&room[..count]);
                if line.ends_with(b"\n") {
                    let heard = Answer::read(line).map(Heard::Answer);
                    self.take_answer(heard);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => self.typed = false,
            Ok(_) | Err(_) => self.hang_up(),
        }
        self.asking.is_some() && self.typed
    }

    /// A line has ended. What cannot be understood is asked again.
    fn take_answer(&mut self, heard: Option<Heard>) {
        let Some(mut asking) = self.asking.take() else { return };
        self.last = b'\n';
        if heard == Some(Heard::Nothing) {
            self.say("\r\n");
        }
        if heard.is_some() {
            self.heard = heard;
            return;
        }
        self.say("weft: o, a or n, and Enter\r\n");
        let question = asking.prompt.to_question();
        self.say(&question);
        asking.line.clear();
        self.asking = Some(asking);
    }

    /// Weft's own lines, now that nothing is asked.
    fn say_lines(&mut self) -> bool {
        let said = self.lines.as_ref().map(Lines::take).unwrap_or_default();
        if said.is_empty() {
            return false;
        }
        self.begin_line();
        self.say(&String::from_utf8_lossy(&said).replace('\n', "\r\n"));
        true
    }

    fn begin_line(&mut self) {
        if self.last != b'\n' {
            self.say("\r\n");
        }
    }

    fn say(&mut self, text: &str) {
        self.to_person.extend(text.bytes());
        self.last = text.bytes().next_back().unwrap_or(self.last);
    }

    /// The person is gone. So is the terminal for the command: its session is hung up.
    fn hang_up(&mut self) {
        self.is_gone = true;
        self.near = None;
        self.asking = None;
        self.to_person.clear();
        self.to_command.clear();
        (self.typed, self.takes_shown) = (false, false);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.person.restore();
        if let Some(lines) = &self.lines {
            lines.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::OpenptFlags;
    use rustix::termios::tcgetattr;
    use std::io::Write as _;

    /// A pseudo-terminal's two ends, neither of which waits.
    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let near = rustix::pty::openpt(flags).expect("a pseudo-terminal");
        rustix::pty::unlockpt(&near).expect("its lock");
        let far = rustix::pty::ioctl_tiocgptpeer(&near, flags).expect("its far end");
        for end in [&near, &far] {
            rustix::io::ioctl_fionbio(end, true).expect("a flag");
        }
        (near, far)
    }

    /// A console between two of them; the ends that a person and a command have.
    struct World {
        console: Console,
        person: OwnedFd,
        command: OwnedFd,
        lines: Lines,
    }

    impl World {
        fn new() -> Self {
            let ((person, desk), (near, command)) = (pair(), pair());
            let lines = Lines::default();
            let at_desk = Person::at(desk).expect("a terminal");
            let mut console = Console::new(at_desk, (near, rustix::process::getpid()), Some(lines.clone()))
                .expect("a console");
            console.is_plain = true;
            console.begin();
            Self { console, person, command, lines }
        }

        /// Turns until an end has been shown `text`, and nothing before it. The kernel carries it in its own time.
        fn expect(&mut self, is_person: bool, text: &str) {
            let mut shown = Vec::new();
            let mut room = [0; 4_096];
            loop {
                self.turn();
                let end = if is_person { &self.person } else { &self.command };
                if let Ok(count @ 1..) = rustix::io::read(end, &mut room) {
                    shown.extend(&room[..count]);
                }
                // While lines are read, the terminal puts a return of its own before each of ours.
                let shown = String::from_utf8_lossy(&shown).replace("\r\r\n", "\r\n");
                assert!(text.starts_with(&shown), "{shown:?} and not {text:?}");
                if shown == text {
                    return;
                }
                std::thread::yield_now();
            }
        }

        fn turn(&mut self) {
            self.console.handle_person(true, true);
            self.console.handle_command(true, true);
            self.console.turn();
        }

        fn heard(&mut self) -> Heard {
            loop {
                self.turn();
                if let Some(heard) = self.console.poll_heard() {
                    return heard;
                }
                std::thread::yield_now();
            }
        }

        fn write(&mut self, is_person: bool, text: &str) {
            let end = if is_person { &self.person } else { &self.command };
            assert_eq!(rustix::io::write(end, text.as_bytes()), Ok(text.len()));
        }

        fn ask(&mut self, endpoint: &str) {
            let choices = ["1", "2", "3"].map(str::to_owned);
            self.console.ask(Prompt { about: "who".into(), endpoint: endpoint.into(), choices });
        }
    }

    /// The question as it is shown.
    fn question(endpoint: &str) -> String {
        format!("weft: who\r\n  [o]nce    1\r\n  [a]lways  2\r\n  [n]ever   3\r\n{endpoint} [o/a/n]? ")
    }

    #[test]
    fn what_is_typed_and_shown_is_carried_both_ways() {
        let mut world = World::new();
        world.write(true, "typed\r");
        // The command's own terminal makes lines, and shows them.
        world.expect(false, "typed\n");
        world.expect(true, "typed\r\n");
        world.write(false, "shown\n");
        world.expect(true, "shown\r\n");
        world.lines.write_all(b"weft: a line\n").expect("kept");
        world.expect(true, "weft: a line\r\n");
        let long = "x".repeat(3_000);
        world.write(true, &long);
        world.expect(true, &long);
        world.write(true, "\r");
        world.expect(false, &format!("{long}\n"));
    }

    #[test]
    fn a_question_has_the_terminal_for_itself() {
        let mut world = World::new();
        world.write(false, "half a line");
        world.expect(true, "half a line");
        world.ask("tcp://a.example:1");
        world.expect(true, &format!("\r\n{}", question("tcp://a.example:1")));
        // Neither the command nor weft itself comes in between.
        world.write(false, "forged\n");
        world.lines.write_all(b"weft: later\n").expect("kept");
        world.write(true, "perhaps\r");
        world.expect(true, "perhaps\r\nweft: o, a or n, and Enter\r\ntcp://a.example:1 [o/a/n]? ");
        world.write(true, "n\ra\r");
        world.expect(true, "n\r\na\r\n");
        assert_eq!(world.heard(), Heard::Answer(Answer::Never));
        // What was typed ahead is no answer to a question that nobody has seen.
        world.ask("tcp://b.example:1");
        world.expect(true, &format!("weft: later\r\nforged\r\n{}", question("tcp://b.example:1")));
        world.write(true, "\x04");
        assert_eq!(world.heard(), Heard::Nothing);
        world.console.go_on();
        world.expect(true, "\r\n");
        // Nothing of the answers is the command's.
        world.write(true, "typed\r");
        world.expect(false, "typed\n");
    }

    #[test]
    fn what_was_shown_before_the_question_stands_before_it() {
        let mut world = World::new();
        world.write(false, "before\n");
        world.ask("tcp://a.example:1");
        world.expect(true, &format!("before\r\n{}", question("tcp://a.example:1")));
    }

    #[test]
    fn the_terminal_is_left_as_it_was_found() {
        let (person, desk) = pair();
        let (near, command) = pair();
        let lines_are_read =
            || tcgetattr(&person).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ICANON));
        let mut console =
            Console::new(Person::at(desk).expect("one"), (near, rustix::process::getpid()), None)
                .expect("a console");
        assert!(lines_are_read());
        console.begin();
        assert!(!lines_are_read());
        let size = rustix::termios::Winsize { ws_row: 7, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&person, size).expect("a size");
        console.resize();
        assert_eq!(rustix::termios::tcgetwinsize(&command).map(|size| size.ws_col), Ok(77));
        console.suspend();
        assert!(lines_are_read());
        console.resume();
        assert!(!lines_are_read());
        drop(console);
        assert!(lines_are_read());
    }

    #[test]
    fn a_person_who_is_gone_hears_nothing_and_the_command_is_hung_up() {
        let mut world = World::new();
        world.ask("tcp://a.example:1");
        let World { mut console, person, command, .. } = world;
        drop(person);
        console.handle_person(true, true);
        console.turn();
        assert!(console.is_gone() && console.is_drained() && console.poll_heard().is_none());
        assert!(!matches!(rustix::io::read(&command, &mut [0; 1]), Ok(1..) | Err(Errno::AGAIN)));
    }

    #[test]
    fn a_command_that_shows_more_than_is_looked_at_waits() {
        let mut world = World::new();
        let text = "x".repeat(1_024);
        let mut shown = 0;
        while rustix::io::write(&world.command, text.as_bytes()).is_ok() {
            shown += text.len();
            world.console.handle_command(true, true);
            world.console.turn();
            assert!(shown < 16 * SHOWN_BYTES_MAX, "what nobody looks at is bounded");
        }
        assert!(world.console.to_person.len() <= SHOWN_BYTES_MAX + READ_BYTES);
    }
}
