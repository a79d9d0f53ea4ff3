//! The engine and the person at the terminal: questions go out one at a time, answers become rules, and what waited goes on.

use super::asked::{Identity, Said};
use super::held::{Held, Opening};
use super::inquiry::{About, Flow, Inquiries, Inquiry};
use super::signals::{Arrived, Signals};
use super::turn::{Engine, Life};
use crate::console::{Answer, Console, Heard};
use rustix::process::Signal;

impl Engine {
    /// Takes in what was answered, and puts the next question.
    pub(super) fn converse(&mut self) {
        let Some(console) = &mut self.console else { return };
        console.turn();
        if console.is_gone() {
            return self.stop_asking();
        }
        let was_asking = console.is_asking();
        if let Some(heard) = console.poll_heard() {
            self.handle_heard(heard);
        }
        self.hear_interrupts();
        self.settle_questions();
        // What the command showed last comes before what is asked after its end.
        let is_shown = !matches!(self.life, Life::Ended { .. });
        let Some(console) = self.console.as_mut().filter(|console| is_shown || console.is_drained()) else {
            return;
        };
        if console.is_asking() {
            return;
        }
        match self.cx.inquiries.as_mut().and_then(Inquiries::show) {
            Some(prompt) => console.ask(prompt),
            None if was_asking => console.go_on(),
            None => {}
        }
    }

    /// Takes in that the command was interrupted by a key, which it has heard of already.
    pub(super) fn hear_interrupts(&mut self) {
        let interrupts = self.console.as_mut().map_or(0, Console::take_interrupts);
        self.handle_interrupts(interrupts);
    }

    /// Lets go on what needs no answer any more: another answer, or a policy that has changed, speaks of it.
    fn settle_questions(&mut self) {
        loop {
            let Some(inquiry) = self.cx.inquiries.as_ref().and_then(Inquiries::next) else { return };
            let proposal = inquiry.proposal.clone();
            if self.cx.authority.decide(&proposal, self.cx.now).is_unruled() {
                return;
            }
            self.take_inquiry(None);
        }
    }

    fn handle_heard(&mut self, heard: Heard) {
        let answer = match heard {
            Heard::Answer(Answer::Once) => return self.take_inquiry(Some(Said::Once)),
            Heard::Nothing => return self.take_inquiry(Some(Said::Nothing)),
            Heard::Answer(answer) => answer,
        };
        let Some((inquiry, going)) = self.cx.inquiries.as_mut().and_then(|inquiries| inquiries.take(None))
        else {
            return;
        };
        let is_kept = self.adopt(&inquiry, answer);
        let said = match (is_kept, answer) {
            (true, _) => None,
            (false, Answer::Never) => Some(Said::Nothing),
            (false, Answer::Once | Answer::Always) => Some(Said::Once),
        };
        going.into_iter().for_each(|(identity, held)| self.go_on(Identity { said, ..identity }, held));
    }

    /// Makes a rule of an answer. Whether that can be.
    fn adopt(&mut self, inquiry: &Inquiry, answer: Answer) -> bool {
        let is_allowed = answer == Answer::Always;
        if !self.source.answer(&inquiry.proposal, is_allowed) {
            let rule = inquiry.subject.rule();
            self.cx
                .reporter
                .say(&format!("weft: there are as many answers as can be kept; {rule} is none of them"));
            return false;
        }
        if let Some(lessons) = &mut self.cx.lessons {
            let is_inner = matches!(inquiry.about, About::Led { .. });
            lessons.answer(&inquiry.proposal, is_inner, is_allowed);
        }
        self.take_answer_in(answer.word(), inquiry.subject.rule());
        true
    }

    fn take_inquiry(&mut self, said: Option<Said>) {
        let taken = self.cx.inquiries.as_mut().and_then(|inquiries| inquiries.take(said));
        for (identity, held) in taken.into_iter().flat_map(|(_, going)| going) {
            self.go_on(identity, held);
        }
    }

    /// Goes on with what was held.
    pub(super) fn go_on(&mut self, identity: Identity, held: Held) {
        let (cx, said) = (&mut self.cx, identity.said);
        match held {
            Held::Tcp(request, local, remote) => {
                self.tcp.handle_identified(cx, request, (local, remote), identity);
            }
            Held::Udp(datagram, origin) => self.udp.handle_identified(cx, datagram, origin, identity),
            Held::Echo(echo, origin) => self.echo.handle_identified(cx, echo, origin, identity),
            Held::Socket(asked) => cx.decide_socket(asked, identity),
            Held::Listen(asked) => cx.decide_listen(asked, identity),
            Held::Resolution(wanted, asker) => cx.decide_resolution(wanted, asker, identity),
            Held::Led(Opening::Tcp(request), address) => self.tcp.handle_led(cx, request, address, said),
            Held::Led(Opening::Flow(Flow::Udp(local, remote), origin), address) => {
                self.udp.handle_led(cx, (local, remote), origin, address, said);
            }
            Held::Led(Opening::Flow(Flow::Echo(local, remote, identifier), origin), address) => {
                self.echo.handle_led(cx, (local, remote, identifier), origin, address, said);
            }
        }
    }

    /// Nobody answers any more: what waits for an answer is refused.
    pub(super) fn stop_asking(&mut self) {
        if let Some(inquiries) = &mut self.cx.inquiries {
            inquiries.close();
        }
        self.refuse_waiting();
    }

    /// What waits for an answer is refused without one.
    fn refuse_waiting(&mut self) {
        if let Some(console) = &mut self.console {
            console.withdraw();
        }
        while self.cx.inquiries.as_ref().is_some_and(Inquiries::is_waiting) {
            self.take_inquiry(Some(Said::Nothing));
        }
    }

    /// Whether something is still to be asked.
    pub(super) fn is_conversing(&self) -> bool {
        self.cx.inquiries.as_ref().is_some_and(Inquiries::is_waiting)
    }

    /// Takes a signal that is the terminal's, where the terminal is ours. Whether it was one.
    pub(super) fn handle_terminal_signal(&mut self, Arrived { number, by_kernel }: Arrived) -> bool {
        let has_ended = matches!(self.life, Life::Ended { .. });
        let Some(console) = &mut self.console else { return false };
        match number {
            libc::SIGWINCH => console.resize(),
            libc::SIGCONT => console.resume(),
            libc::SIGTSTP if has_ended => self.suspend(),
            libc::SIGTSTP => console.pass_signal(Signal::TSTP),
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT if has_ended => self.stop_asking(),
            // At a question the person's terminal makes signals of keys, which it leaves to the command's otherwise.
            libc::SIGINT | libc::SIGQUIT if by_kernel => {
                console.pass_signal(if number == libc::SIGINT { Signal::INT } else { Signal::QUIT });
                // A program that waits for its connection does not hear of it before that has come to something.
                self.refuse_waiting();
            }
            _ => return false,
        }
        true
    }

    /// The command was stopped at its terminal: so is the gateway at its own, until the shell above continues it.
    pub(super) fn suspend(&mut self) {
        if let Some(console) = &mut self.console {
            console.suspend();
            Signals::stop_group();
            console.resume();
        }
        // Another may have the number of one that has ended.
        if !matches!(self.life, Life::Ended { .. }) {
            self.sandbox.resume();
        }
    }

    /// Whether the console has more to carry at once.
    pub(super) fn has_more_to_carry(&self) -> bool {
        self.console.as_ref().is_some_and(Console::has_work)
    }
}
