//! Which of the records of a page leave, as it is gone through from its beginning. HL7 FHIR 4.0.1, search.html#count.
//!
//! Only what may leave counts: where a page begins and ends depends on nothing else, so it tells of nothing else.

/// Which of the records of a page are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// So many that may leave come first, and left before.
    pub past: usize,
    /// For how many more there is room.
    pub room: usize,
    /// For how many bytes of them: that which goes beyond it is the last.
    pub bytes: usize,
}

impl Wanted {
    /// All of them.
    pub const ALL: Self = Self { past: 0, room: usize::MAX, bytes: usize::MAX };

    /// Whether there is room for none.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room == 0 || self.bytes == 0
    }
}

/// How far a page was gone through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// To its end. So many of those that left before were not on it any more.
    AllSeen(usize),
    /// To one that may leave and for which there is no room: so many that may come before it.
    FullBefore(usize),
}

/// What becomes of a record that may leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::fhir) enum Turn {
    /// It left before.
    Past,
    /// It leaves.
    Leaves,
    /// There is no room for it.
    NoRoom,
}

/// How far a page is gone through.
#[derive(Clone, Copy, Debug)]
pub(in crate::fhir) struct Taking {
    wanted: Wanted,
    /// How many that may leave came so far.
    came: usize,
    is_over: bool,
    /// How many stay behind the last for which there was room.
    ahead: usize,
}

impl Taking {
    pub(in crate::fhir) fn begin(wanted: Wanted) -> Self {
        Self { wanted, came: 0, is_over: false, ahead: 0 }
    }

    /// Whether nothing more is decided on.
    pub(in crate::fhir) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether no other page is cut out of this one, as far as it is gone through.
    pub(in crate::fhir) fn is_whole(&self) -> bool {
        self.wanted.past == 0 && !self.is_over
    }

    /// One may leave.
    pub(in crate::fhir) fn one(&mut self) -> Turn {
        let at = self.came;
        if at >= self.wanted.past && self.wanted.is_full() {
            self.is_over = true;
            return Turn::NoRoom;
        }
        self.came = at.saturating_add(1);
        if at < self.wanted.past {
            return Turn::Past;
        }
        self.wanted.room = self.wanted.room.saturating_sub(1);
        Turn::Leaves
    }

    /// So long is what left.
    pub(in crate::fhir) fn wrote(&mut self, length: usize) {
        self.wanted.bytes = self.wanted.bytes.saturating_sub(length);
    }

    /// One stays: how many are withheld by that of what is wanted. Those that stand among what left before were counted then,
    /// and those before what comes next are counted there.
    pub(in crate::fhir) fn stays(&mut self) -> usize {
        if self.came < self.wanted.past || self.is_over {
            return 0;
        }
        if self.wanted.is_full() {
            self.ahead = self.ahead.saturating_add(1);
            return 0;
        }
        1
    }

    /// How many stay that were not counted yet, at the end of the page.
    pub(in crate::fhir) fn ahead(&self) -> usize {
        if self.is_over { 0 } else { self.ahead }
    }

    pub(in crate::fhir) fn progress(&self) -> Progress {
        match self.is_over {
            true => Progress::FullBefore(self.came),
            false => Progress::AllSeen(self.wanted.past.saturating_sub(self.came)),
        }
    }
}
