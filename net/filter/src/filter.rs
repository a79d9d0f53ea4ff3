//! The filter itself: rules, connections and rates together.

use crate::chain::{Chain, Facts};
use crate::config::{Config, FilterError};
use crate::limiter::Limiter;
use crate::packet::Packet;
use crate::rules::{Action, Answer, DefaultVerdict, Hook, Rule, Ruleset};
use crate::set::AddressSet;
use crate::track::{Seen, Tracker};
use crate::verdict::{Counter, Judgement, RuleId, Verdict};
use alloc::string::ToString;
use alloc::vec::Vec;
use hash::Key;
use time::Instant;

/// Interfaces that rules can tell apart: a bit for each.
pub const INTERFACES_MAX: usize = 64;

/// A packet filter: rules that packets are judged by, and what is remembered of earlier ones.
///
/// ```
/// use filter::{Config, Filter, Hook, Packet, Ruleset, Verdict};
/// use time::{Duration, Instant};
///
/// let rules = Ruleset::parse(
///     "send default accept
///      receive default drop
///          accept state established
///          accept udp to port 53 rate 2/second per source
///      ",
/// )?;
/// let mut filter = Filter::new(rules, &["eth0"], Config::default(), &[7; 32]).expect("no interface is named");
/// let datagram = |from: u8, to: u8, ports: &'static [u8; 4]| Packet {
///     source: [192, 0, 2, from].into(),
///     destination: [192, 0, 2, to].into(),
///     protocol: wire::Protocol::UDP,
///     transport: ports,
///     length_bytes: 100,
///     is_fragment: false,
///     program: None,
/// };
///
/// let now = Instant::from_secs(1);
/// let query = datagram(1, 2, &[0x1b, 0x58, 0, 53]);
/// let verdicts = [(); 3].map(|()| filter.judge(Hook::Receive, 0, &query, now).verdict);
/// assert_eq!(verdicts, [Verdict::Accepted, Verdict::Accepted, Verdict::Dropped]);
///
/// // Nobody asked for this one; of the next, we did.
/// let answer = datagram(3, 2, &[0, 80, 0x1b, 0x58]);
/// assert!(!filter.judge(Hook::Receive, 0, &answer, now).verdict.passes());
/// let asked = datagram(2, 3, &[0x1b, 0x58, 0, 80]);
/// assert!(filter.judge(Hook::Send, 0, &asked, now).verdict.passes());
/// assert!(filter.judge(Hook::Receive, 0, &answer, now).verdict.passes());
/// assert!(!filter.judge(Hook::Receive, 0, &answer, now + Duration::from_secs(301)).verdict.passes());
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Debug)]
pub struct Filter {
    rules: Ruleset,
    chains: [Chain; 3],
    sets: Vec<AddressSet>,
    /// Present where a rule asks for states.
    tracker: Option<Tracker>,
    limiter: Limiter,
    config: Config,
    seed: [u8; 32],
}

impl Filter {
    /// A filter of these rules. `interfaces` are the names that rules may speak of, in the order of the numbers that
    /// [`judge`](Self::judge) is told. `seed` keys the hashes, so that who sends packets cannot choose where they fall.
    ///
    /// # Errors
    ///
    /// [`FilterError`] where a rule names another interface, or the configuration is out of its ranges.
    pub fn new(
        rules: Ruleset,
        interfaces: &[&str],
        config: Config,
        seed: &[u8; 32],
    ) -> Result<Self, FilterError> {
        config.check()?;
        let mut filter = Self {
            rules: Ruleset::default(),
            chains: compile(&Ruleset::default(), &[], seed)?,
            sets: Vec::new(),
            tracker: None,
            limiter: Limiter::new(Key::derive(seed, 2), config.rate_keys_max),
            config,
            seed: *seed,
        };
        filter.replace(rules, interfaces)?;
        Ok(filter)
    }

    /// Puts other rules in the place of those that are in force, at once and as a whole. Connections stay known as long as rules ask for states; counters
    /// and rates begin anew. Where there is an error, everything stays as it was.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use filter::{Config, Filter, Ruleset};
    /// let mut filter = Filter::new(Ruleset::default(), &["lan"], Config::default(), &[7; 32]).unwrap();
    /// assert!(filter.replace(Ruleset::parse("receive default drop\n accept on lan")?, &["lan"]).is_ok());
    /// assert!(filter.replace(Ruleset::parse("receive default drop\n accept on wan")?, &["lan"]).is_err());
    /// assert_eq!(filter.rules().interfaces(), ["lan"]);
    /// # Ok::<(), filter::Errors>(())
    /// ```
    pub fn replace(&mut self, rules: Ruleset, interfaces: &[&str]) -> Result<(), FilterError> {
        self.chains = compile(&rules, interfaces, &self.seed)?;
        self.sets = rules.sets.iter().map(|set| filled(&set.networks, &self.seed)).collect();
        let asks_for_states = |rule: &Rule| !rule.matches.states.is_any();
        let tracks = rules.chains.iter().flat_map(|chain| &chain.rules).any(asks_for_states);
        let key = Key::derive(&self.seed, 3);
        let fresh = || Tracker::new(key, self.config.connections_max, &self.config.timeouts);
        self.tracker = tracks.then(|| self.tracker.take().unwrap_or_else(fresh));
        self.limiter.clear();
        self.rules = rules;
        Ok(())
    }

    /// What becomes of a packet that has come to a hook, on an interface by its number.
    #[inline]
    pub fn judge(&mut self, hook: Hook, interface: u16, packet: &Packet<'_>, now: Instant) -> Judgement {
        let seen = self.tracker.as_mut().map_or(Seen::UNTRACKED, |tracker| tracker.look(packet, now));
        let facts = Facts { packet, interface, ports: packet.ports(), state: seen.state };
        let judgement = self.decide(hook, &facts, now);
        if judgement.verdict.passes()
            && let Some(tracker) = &mut self.tracker
        {
            tracker.accept(seen, packet);
        }
        judgement
    }

    fn decide(&mut self, hook: Hook, facts: &Facts<'_>, now: Instant) -> Judgement {
        let Chain { default, rules, gates, counters, default_counter, finder } =
            &mut self.chains[hook as usize];
        let (packet, state) = (facts.packet, facts.state);
        for number in finder.candidates(packet, facts.ports) {
            if !gates[number].lets_pass(facts) {
                continue;
            }
            let rule = &rules[number];
            if !rule.matches(facts, &self.sets) {
                continue;
            }
            let [rate, limit] = rule.rates;
            let within = |wanted: crate::rules::RateMatch| {
                self.limiter.take(rate, &wanted.limit, packet, now) != wanted.over
            };
            if !rule.matches.rate.is_none_or(within) {
                continue;
            }
            counters[number].count(packet.length_bytes);
            let verdict = match &rule.action {
                Action::Accept => Verdict::Accepted,
                Action::Drop => Verdict::Dropped,
                Action::Reject(answer) => Verdict::Rejected(*answer),
                Action::Count(_) => continue,
                Action::Limit(wanted) if self.limiter.take(limit, wanted, packet, now) => continue,
                Action::Limit(_) => {
                    counters[number].over += 1;
                    Verdict::Limited
                }
            };
            return Judgement { verdict, rule: Some(RuleId { hook, number }), state };
        }
        default_counter.count(packet.length_bytes);
        let verdict = match default {
            DefaultVerdict::Accept => Verdict::Accepted,
            DefaultVerdict::Drop => Verdict::Dropped,
            DefaultVerdict::Reject => Verdict::Rejected(Answer::Fitting),
        };
        Judgement { verdict, rule: None, state }
    }

    /// The rules in force, as they were written.
    #[must_use]
    pub const fn rules(&self) -> &Ruleset {
        &self.rules
    }

    /// A rule, by the number that a judgement tells.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.chain(id.hook).rules.get(id.number)
    }

    /// What each rule of a hook has met, in their order.
    ///
    /// ```
    /// use filter::{Config, Filter, Hook, Ruleset};
    /// let rules = Ruleset::parse("receive default drop\n accept tcp\n accept udp")?;
    /// let filter = Filter::new(rules, &[], Config::default(), &[7; 32]).expect("no interface is named");
    /// assert_eq!(filter.counters(Hook::Receive).len(), 2);
    /// assert_eq!(filter.default_counter(Hook::Receive).packets, 0);
    /// # Ok::<(), filter::Errors>(())
    /// ```
    #[must_use]
    pub fn counters(&self, hook: Hook) -> &[Counter] {
        &self.chains[hook as usize].counters
    }

    /// What the default of a hook has met.
    #[must_use]
    pub const fn default_counter(&self, hook: Hook) -> Counter {
        self.chains[hook as usize].default_counter
    }

    /// Forgets connections that have been idle for their time, and tells when the next will have been. Nobody has to call
    /// this: packets do it a little at a time, and what has expired counts for nothing in any case. It gives memory back
    /// where no packets come any more.
    ///
    /// ```
    /// use filter::{Config, Filter, Ruleset};
    /// let mut filter = Filter::new(Ruleset::default(), &[], Config::default(), &[7; 32]).unwrap();
    /// assert_eq!((filter.handle_timeout(time::Instant::ZERO), filter.memory().connections), (None, 0));
    /// ```
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Instant> {
        self.tracker.as_mut()?.expire_all(now)
    }

    /// What is held now.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let tracker = self.tracker.as_ref();
        Memory {
            connections: tracker.map_or(0, Tracker::len),
            connections_evicted: tracker.map_or(0, Tracker::evicted),
            rate_keys: self.limiter.len(),
        }
    }
}

/// What a filter holds for others.
///
/// ```
/// use filter::{Config, Filter, Memory, Ruleset};
/// let filter = Filter::new(Ruleset::default(), &[], Config::default(), &[7; 32]).unwrap();
/// assert_eq!(filter.memory(), Memory::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Connections that are remembered.
    pub connections: usize,
    /// Connections that were forgotten before their time for lack of room, so far.
    pub connections_evicted: u64,
    /// Addresses and programs for which rates are counted.
    pub rate_keys: usize,
}

fn compile(rules: &Ruleset, interfaces: &[&str], seed: &[u8; 32]) -> Result<[Chain; 3], FilterError> {
    if interfaces.len() > INTERFACES_MAX {
        return Err(FilterError::TooManyInterfaces);
    }
    let bits = |rule: &Rule| {
        rule.matches.interfaces.items.iter().try_fold(0, |bits, name| {
            match interfaces.iter().position(|known| known == name) {
                Some(number) => Ok(bits | 1 << number),
                None => Err(FilterError::NoInterface { line: rule.line, name: name.to_string() }),
            }
        })
    };
    let mut next_rate = 0;
    let mut chain = |hook: Hook| {
        let chain = rules.chain(hook);
        let key = Key::derive(seed, 4 + hook as u64);
        Chain::new(chain.default, &chain.rules, key, bits, &mut next_rate)
    };
    Ok([chain(Hook::Receive)?, chain(Hook::Forward)?, chain(Hook::Send)?])
}

fn filled(networks: &[crate::network::Network], seed: &[u8; 32]) -> AddressSet {
    let mut set = AddressSet::new(seed);
    for network in networks {
        set.insert(*network);
    }
    set
}
