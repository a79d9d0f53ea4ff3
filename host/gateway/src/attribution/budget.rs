//! What one search may cost.

/// How much is looked at for one connection: open files, threads and processes, in all processes together. Each costs
/// 1 to 4 µs.
pub const LOOKS_MAX: usize = 16_384;

/// Looks that are left to a search.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

/// Not everything could be looked at: the search has cost what it may, or a process was just changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsure;

impl Budget {
    /// All of it.
    pub fn new() -> Self {
        Self { left: LOOKS_MAX }
    }

    /// Takes so many looks.
    pub fn take(&mut self, looks: usize) -> Result<(), Unsure> {
        self.left = self.left.checked_sub(looks).ok_or(Unsure)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once() {
        let mut budget = Budget::new();
        assert_eq!(budget.take(LOOKS_MAX - 1), Ok(()));
        assert_eq!(budget.take(2), Err(Unsure));
        assert_eq!(budget.take(1), Ok(()));
        assert_eq!(budget.take(1), Err(Unsure));
    }
}
