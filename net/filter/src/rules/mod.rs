//! The rules file: what it says ([`ruleset`]), how it is read ([`lexer`], [`parse`], [`clause`], [`names`]) and written
//! ([`format`]).

mod clause;
mod error;
mod format;
mod lexer;
pub(crate) mod names;
mod parse;
mod ruleset;

pub use error::{Errors, RulesError};
pub use parse::{
    ERRORS_MAX, FILE_BYTES_MAX, ITEMS_MAX, LINE_BYTES_MAX, NAME_BYTES_MAX, RULES_MAX, SET_NETWORKS_MAX,
    SETS_MAX,
};
pub use ruleset::{
    Action, Answer, Chain, DefaultVerdict, FlagsMatch, Hook, IcmpType, List, Match, Per, PortRange,
    RateLimit, RateMatch, Rule, Ruleset, Set, State, States, Target,
};

pub(crate) use clause::number;
pub(crate) use lexer::{Cursor, Stop};
