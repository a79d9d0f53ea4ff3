//! What goes to the writer at once, and what it answers.

/// Entries that are written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    first: u64,
    count: u64,
    /// The entries as they stand in a bundle: each after its length in 16 bits.
    records: Vec<u8>,
    /// A new log is begun before the entries, whose first entry has the sequence number [`Self::first`] and this time, in
    /// nanoseconds since 1970.
    pub(crate) rotation: Option<u64>,
    /// Tiles and checkpoint are brought up to date afterwards.
    pub(crate) publishes: bool,
}

/// What the writer answers once a batch is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Every entry below this sequence number is on disk.
    pub next: u64,
    /// The checkpoint that covers them, as a signed note.
    pub checkpoint: String,
}

impl Batch {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, count: 0, records: Vec::new(), rotation: None, publishes: false }
    }

    pub(crate) fn after_rotation(first: u64, time_ns: u64) -> Self {
        Self { count: 1, rotation: Some(time_ns), ..Self::new(first) }
    }

    /// Whether an entry of this length goes into it.
    pub(crate) fn takes(&self, length: usize, bytes_max: usize) -> bool {
        self.entry_bytes() + length <= bytes_max
    }

    pub(crate) fn push(&mut self, entry: &[u8]) {
        let length = u16::try_from(entry.len()).expect("an encoded entry has at most ENTRY_BYTES_MAX bytes");
        self.records.extend_from_slice(&length.to_be_bytes());
        self.records.extend_from_slice(entry);
        self.count += 1;
    }

    /// The sequence number of its first entry.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many entries it adds to the ledger, the first one of a new log included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The entries as they stand in a bundle; that which begins a new log is not here yet.
    #[must_use]
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// The bytes of its entries without their lengths.
    #[must_use]
    pub fn entry_bytes(&self) -> usize {
        let here = self.count - u64::from(self.rotation.is_some());
        self.records.len() - 2 * here as usize
    }
}
