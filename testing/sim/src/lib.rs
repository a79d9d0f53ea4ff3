//! Stacks joined by impaired links in virtual time.
