//! What waits for a person: what no rule speaks of, one inquiry for each endpoint, in the order in which they came up. What
//! asks for the same joins the one that waits.
//!
//! ```text
//!   asked for, no rule ──> put ──> front, shown ──> always, never: a rule ─┬─> take ──> asked for again
//!          (held)                                   once, nothing: no rule ┘
//! ```

use super::asked::{Identity, Said};
use super::behind::Behind;
use super::held::Held;
use crate::authority::{Form, Subject};
use crate::console::{Lines, Person, Prompt};
use crate::report::{Process, escape};
use axiom::Proposal;
use axiom::rules::Protocol;
use stack::RequestId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// How many endpoints wait for an answer at most; what comes then is refused.
const INQUIRIES_MAX: usize = 64;

/// How much is held for them all together; what comes then is refused.
const HELD_MAX: usize = 4_096;

/// How many packets of one flow wait, the first included; those after them are lost.
const PACKETS_MAX: usize = 16;

/// How many names are kept that were looked up and not connected to, and as many that were asked about. What comes then is
/// asked about as it is looked up, or once more at the end.
const LOOKUPS_MAX: usize = 256;

/// Who is asked, and what for.
#[derive(Debug)]
pub(crate) struct Interview {
    pub person: Person,
    /// Weft's own lines, where they go to the same terminal.
    pub lines: Option<Lines>,
    /// The file that the policy is written to.
    pub file: PathBuf,
}

/// A flow whose first packet waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Flow {
    /// Of UDP, from the second address to the first.
    Udp(SocketAddr, SocketAddr),
    /// Of pings, from the second address to the first, with an identifier.
    Echo(IpAddr, IpAddr, u16),
}

/// What is to be asked.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub subject: Subject,
    pub proposal: Proposal,
    pub about: About,
    process: Option<Process>,
    held: Vec<(Identity, Held)>,
}

/// How it came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A program asks for it.
    Asked,
    /// A name leads there that is allowed: the name's endpoint, and why that is not enough.
    Led { from: String, why: String },
    /// A name was looked up, and answered with the address that stands for it, and nothing connected to that.
    LookedUp,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Inquiries {
    form: Form,
    /// The file that the policy is written to.
    file: String,
    queue: VecDeque<Inquiry>,
    /// Whether the first is on the screen.
    is_shown: bool,
    /// How much waits in it.
    held: usize,
    behind: Behind,
    lookups: BTreeMap<Subject, (Proposal, Option<Process>)>,
    /// Lookups of names whose connections were asked about.
    settled: BTreeSet<Subject>,
    /// Nobody is there to be asked any more.
    is_closed: bool,
}

impl Inquiries {
    /// None yet, about a policy that is to be written to this file.
    pub fn new(file: &Path) -> Self {
        Self {
            form: Form::of(file),
            file: file.display().to_string(),
            queue: VecDeque::new(),
            is_shown: false,
            held: 0,
            behind: Behind::default(),
            lookups: BTreeMap::new(),
            settled: BTreeSet::new(),
            is_closed: false,
        }
    }

    /// Whether answers are about one program each.
    pub fn tells_programs_apart(&self) -> bool {
        self.form == Form::Cedar
    }

    /// Whether an answer about this could be a rule.
    pub fn may_ask_about(&self, proposal: &Proposal) -> bool {
        Subject::of(proposal, self.form).is_some()
    }

    /// Has a person asked about `proposal`, and keeps what waits for the answer. Whether it does; else it is refused.
    pub fn put(&mut self, proposal: &Proposal, about: About, process: Option<Process>, held: Held) -> bool {
        if let Some(flow) = held.flow().filter(|flow| self.keeps(*flow)) {
            self.join(flow, || held);
            return true;
        }
        if self.is_closed || !self.has_room() {
            return false;
        }
        let Some(subject) = Subject::of(proposal, self.form) else { return false };
        self.behind.begin(&held);
        let identity = Identity { process: process.clone(), program: proposal.program.clone(), said: None };
        let waiting = self.queue.iter_mut().find(|inquiry| inquiry.subject == subject);
        if let Some(inquiry) = waiting {
            inquiry.held.push((identity, held));
        } else if self.queue.len() < INQUIRIES_MAX {
            self.settle_lookup(proposal);
            let (proposal, held) = (proposal.clone(), vec![(identity, held)]);
            self.queue.push_back(Inquiry { subject, proposal, about, process, held });
        } else {
            let _ = self.behind.take(&held);
            return false;
        }
        self.held += 1;
        true
    }

    fn has_room(&self) -> bool {
        self.held + self.behind.len() < HELD_MAX
    }

    /// Whether the first packet of a flow waits.
    pub fn keeps(&self, flow: Flow) -> bool {
        self.behind.has(flow)
    }

    /// Keeps a packet of a flow that [waits](Self::keeps) behind the first one, or loses it.
    pub fn join(&mut self, flow: Flow, packet: impl FnOnce() -> Held) {
        if self.has_room() {
            self.behind.push(flow, packet, PACKETS_MAX - 1);
        }
    }

    /// The program gave a connection up. What it was for is asked about all the same, for the policy.
    pub fn forget(&mut self, request: RequestId) {
        for inquiry in &mut self.queue {
            let before = inquiry.held.len();
            inquiry.held.retain(|(_, held)| !matches!(held, Held::Tcp(other, ..) if *other == request));
            self.held -= before - inquiry.held.len();
        }
    }

    /// Whether there is room for what [`note_lookup`](Self::note_lookup) keeps of this.
    pub fn may_note_lookup(&self, proposal: &Proposal) -> bool {
        let Some(subject) = Subject::of(proposal, self.form) else { return false };
        !self.is_closed && (self.lookups.len() < LOOKUPS_MAX || self.lookups.contains_key(&subject))
    }

    /// A name was looked up that nobody has been asked about: that is done when something connects to it, or at the end.
    pub fn note_lookup(&mut self, proposal: &Proposal, process: Option<Process>) {
        let subject = Subject::of(proposal, self.form);
        if let Some(subject) = subject.filter(|subject| !self.settled.contains(subject)) {
            self.lookups.entry(subject).or_insert_with(|| (proposal.clone(), process));
        }
    }

    /// A question about a connection to a name says all about looking it up.
    fn settle_lookup(&mut self, proposal: &Proposal) {
        let Some(name) = proposal.name.clone() else { return };
        let lookup = Proposal { program: proposal.program.clone(), ..Proposal::resolve(name) };
        let Some(subject) = Subject::of(&lookup, self.form) else { return };
        self.lookups.remove(&subject);
        if self.settled.len() < LOOKUPS_MAX {
            self.settled.insert(subject);
        }
    }

    /// The command has ended: what it looked up and did not connect to is asked about as well.
    pub fn ask_of_lookups(&mut self) {
        for (subject, (proposal, process)) in std::mem::take(&mut self.lookups) {
            let (about, held) = (About::LookedUp, Vec::new());
            self.queue.push_back(Inquiry { subject, proposal, about, process, held });
        }
    }

    /// What is to be asked next; `None` while something is, or where there is nothing.
    pub fn next(&self) -> Option<&Inquiry> {
        self.queue.front().filter(|_| !self.is_shown)
    }

    /// The question for what is [`next`](Self::next); from here on it is on the screen.
    pub fn show(&mut self) -> Option<Prompt> {
        let prompt = self.next()?.prompt(&self.file);
        self.is_shown = true;
        Some(prompt)
    }

    /// Whether something waits for an answer.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The first, which has been answered or need not be asked any more, and what goes on now.
    pub fn take(&mut self, said: Option<Said>) -> Option<(Inquiry, Vec<(Identity, Held)>)> {
        let mut inquiry = self.queue.pop_front()?;
        self.is_shown = false;
        let mut going = Vec::new();
        self.held -= inquiry.held.len();
        for (identity, held) in std::mem::take(&mut inquiry.held) {
            let identity = Identity { said, ..identity };
            let behind = self.behind.take(&held);
            going.push((identity.clone(), held));
            going.extend(behind.into_iter().map(|packet| (identity.clone(), packet)));
        }
        Some((inquiry, going))
    }

    /// Nobody answers any more: nothing is put from here on.
    pub fn close(&mut self) {
        self.is_closed = true;
        self.lookups.clear();
    }
}

impl Inquiry {
    fn prompt(&self, file: &str) -> Prompt {
        let executable = self.proposal.program.as_ref().map(|program| escape(&program.executable));
        let who = match (&self.process, executable) {
            (Some(process), Some(path)) => format!("{process}, {path},"),
            (Some(process), None) => process.to_string(),
            (None, Some(path)) => path,
            (None, None) => "an unknown program".to_owned(),
        };
        let endpoint = self.proposal.endpoint();
        let about = match (&self.about, self.proposal.protocol) {
            (About::Led { from, why }, _) => format!("{who} wants to connect to {from}; {why}"),
            (About::LookedUp, _) => format!("{who} looked up {endpoint}, of which nothing has left yet"),
            (About::Asked, None) if self.proposal.socket.is_none() => {
                format!("{who} wants to look up {endpoint}")
            }
            (About::Asked, protocol) if protocol.is_none_or(Protocol::has_ports) => {
                format!("{who} wants to connect to {endpoint}")
            }
            (About::Asked, _) => format!("{who} wants to ping {endpoint}"),
        };
        let choices = match self.about {
            About::LookedUp => {
                ["left out".to_owned(), format!("allowed in {file}"), format!("denied in {file}")]
            }
            About::Asked | About::Led { .. } => [
                "what waits for it now, and nothing after that".to_owned(),
                format!("allowed for the rest of the run, and in {file}"),
                format!("denied for the rest of the run, and in {file}"),
            ],
        };
        Prompt { about, endpoint: self.subject.rule().to_owned(), choices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::origin::Origin;
    use axiom::domain::DomainName;
    use packet::Bytes;
    use stack::Datagram;

    fn inquiries() -> Inquiries {
        Inquiries::new(Path::new("build.rules"))
    }

    fn name(text: &str) -> DomainName {
        text.parse().expect(text)
    }

    fn endpoint(port: u16) -> Proposal {
        Proposal::connect(Protocol::Udp, name("a.example"), port)
    }

    fn held(from: u16) -> Held {
        let (there, here) = (([198, 18, 0, 1], 9).into(), ([10, 0, 2, 15], from).into());
        Held::Udp(Datagram::new(there, here, Bytes::from_static(b"x")), Origin::default())
    }

    fn put(inquiries: &mut Inquiries, proposal: &Proposal, from: u16) -> bool {
        inquiries.put(proposal, About::Asked, None, held(from))
    }

    fn flow(from: u16) -> Flow {
        held(from).flow().expect("a datagram is of a flow")
    }

    #[test]
    fn what_asks_for_the_same_is_one_question_and_goes_on_together() {
        let mut inquiries = inquiries();
        assert!(put(&mut inquiries, &endpoint(1), 1) && put(&mut inquiries, &endpoint(2), 2));
        assert!(put(&mut inquiries, &endpoint(1), 3));
        let prompt = inquiries.show().expect("a question");
        assert_eq!(prompt.endpoint, "udp://a.example:1");
        assert_eq!(prompt.about, "an unknown program wants to connect to udp://a.example:1");
        assert!(inquiries.show().is_none(), "one at a time");
        assert!(put(&mut inquiries, &endpoint(1), 4), "as long as it is not answered");
        let (inquiry, going) = inquiries.take(Some(Said::Once)).expect("the first");
        assert_eq!((inquiry.subject.rule(), going.len()), ("udp://a.example:1", 3));
        assert!(going.iter().all(|(identity, _)| identity.said == Some(Said::Once)));
        assert_eq!(inquiries.show().map(|prompt| prompt.endpoint).as_deref(), Some("udp://a.example:2"));
        assert_eq!(inquiries.take(None).map(|(_, going)| going.len()), Some(1));
        assert!(!inquiries.is_waiting() && inquiries.take(None).is_none());
        assert_eq!((inquiries.held, inquiries.behind.len()), (0, 0));
    }

    #[test]
    fn packets_of_a_flow_that_waits_are_kept_up_to_a_bound() {
        let mut inquiries = inquiries();
        assert!(!inquiries.keeps(flow(1)), "it does not wait");
        assert!(put(&mut inquiries, &endpoint(1), 1) && inquiries.keeps(flow(1)));
        for _ in 0..100 {
            inquiries.join(flow(1), || held(1));
        }
        let (_, going) = inquiries.take(None).expect("the first");
        assert_eq!(going.len(), PACKETS_MAX);
        assert!(!inquiries.keeps(flow(1)), "it does not wait any more");
    }

    #[test]
    fn packets_of_a_flow_go_on_in_the_order_in_which_they_came_whatever_held_them_before() {
        let mut inquiries = inquiries();
        let numbered = |number: u8| {
            let (there, here) = (([198, 18, 0, 1], 9).into(), ([10, 0, 2, 15], 1).into());
            let payload = Bytes::copy_from_slice(&[number]);
            Held::Udp(Datagram::new(there, here, payload), Origin::default())
        };
        let put = |inquiries: &mut Inquiries, number| {
            assert!(inquiries.put(&endpoint(1), About::Asked, None, numbered(number)));
        };
        // The first two were held until it was known who sends them.
        put(&mut inquiries, 0);
        put(&mut inquiries, 1);
        inquiries.join(flow(1), || numbered(2));
        put(&mut inquiries, 3);
        let (_, going) = inquiries.take(Some(Said::Once)).expect("the first");
        let number = |held: &Held| match held {
            Held::Udp(datagram, _) => datagram.payload[0],
            _ => panic!("{held:?}"),
        };
        assert_eq!(going.iter().map(|(_, held)| number(held)).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn what_waits_is_bounded_and_nothing_waits_for_nobody() {
        let mut inquiries = inquiries();
        let asked = (1..1_000).filter(|port| put(&mut inquiries, &endpoint(*port), *port)).count();
        assert_eq!(asked, INQUIRIES_MAX);
        assert!(!inquiries.keeps(flow(999)), "what is refused does not wait");
        let more = (1_000..u16::MAX).filter(|from| put(&mut inquiries, &endpoint(1), *from)).count();
        assert_eq!(more, HELD_MAX - INQUIRIES_MAX);
        assert!(!put(&mut self::inquiries(), &endpoint(0), 1), "no rule speaks of port 0");
        inquiries.close();
        let _ = inquiries.take(None);
        assert!(!put(&mut inquiries, &endpoint(1), 1));
    }

    #[test]
    fn what_is_given_up_is_asked_about_and_goes_on_no_more() {
        let mut inquiries = inquiries();
        let (here, there) = (([10, 0, 2, 15], 1).into(), ([198, 18, 0, 1], 443).into());
        let web = Proposal::connect(Protocol::Tcp, name("a.example"), 443);
        for number in [7, 8] {
            let held = Held::Tcp(RequestId(number), there, here);
            assert!(inquiries.put(&web, About::Asked, None, held));
        }
        inquiries.forget(RequestId(7));
        assert_eq!(inquiries.held, 1);
        inquiries.forget(RequestId(8));
        assert_eq!(inquiries.show().map(|prompt| prompt.endpoint).as_deref(), Some("tcp://a.example:443"));
        assert_eq!(inquiries.take(Some(Said::Once)).map(|(_, going)| going.len()), Some(0));
    }

    #[test]
    fn a_name_that_nothing_connects_to_is_asked_about_at_the_end() {
        let mut inquiries = inquiries();
        let lookup = |text: &str| Proposal::resolve(name(text));
        for text in ["a.example", "b.example", "b.example"] {
            assert!(inquiries.may_note_lookup(&lookup(text)));
            inquiries.note_lookup(&lookup(text), None);
        }
        assert!(!inquiries.is_waiting());
        // A question about a connection says it all, before and after.
        assert!(put(&mut inquiries, &endpoint(1), 1));
        inquiries.note_lookup(&lookup("a.example"), None);
        let _ = inquiries.take(None);
        inquiries.note_lookup(&lookup("a.example"), None);
        inquiries.ask_of_lookups();
        let prompt = inquiries.show().expect("a question");
        assert_eq!(prompt.endpoint, "dns://b.example");
        assert!(prompt.about.ends_with("looked up b.example, of which nothing has left yet"), "{prompt:?}");
        assert_eq!(inquiries.take(None).map(|(_, going)| going.len()), Some(0));
        assert!(inquiries.show().is_none());
        let noted = (0..1_000).filter(|number| {
            let lookup = lookup(&format!("n{number}.example"));
            let may = inquiries.may_note_lookup(&lookup);
            may.then(|| inquiries.note_lookup(&lookup, None)).is_some()
        });
        assert_eq!(noted.count(), LOOKUPS_MAX);
    }
}
