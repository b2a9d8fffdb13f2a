//! Objects of the object storage: where their bytes are, and what is said of them.

use crate::Timestamp;

/// A blob, or the part of it that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The blob's id.
    pub blob: String,
    /// The first byte of it that is needed.
    pub start: u64,
    /// How many bytes.
    pub size: u64,
}

/// An object: its bytes are those of its pieces, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified_at: Timestamp,
    /// What else is kept of it, as whoever wrote it encodes it: JSON.
    pub attributes: String,
    /// Where its bytes are.
    pub pieces: Vec<Piece>,
}

/// An upload in parts that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// Where its object will be.
    pub bucket: String,
    /// The key of its object.
    pub key: String,
    /// The attributes of its object.
    pub attributes: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified_at: Timestamp,
    /// Its checksums, as whoever wrote it encodes them: JSON.
    pub checksums: String,
    /// Where its bytes are.
    pub pieces: Vec<Piece>,
}

/// What has to be so for an object to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// There is no object of this key.
    Absent,
    /// There is an object of this key.
    Present,
    /// The object of this key has this entity tag, without quotes.
    Etag(String),
}

/// Where the blobs of what is recorded come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They were written for it.
    Written,
    /// Something else needs them too.
    Shared,
}

/// What came of writing an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is written.
    Done,
    /// There is no such bucket, or no such upload.
    Missing,
    /// What it was to share blobs with is gone.
    Gone,
    /// There is no object that the condition could be true of.
    NoObject,
    /// The condition is not true.
    Unmet,
}

/// What came of removing a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketRemoval {
    /// It is gone.
    Removed,
    /// It has objects or uploads.
    NotEmpty,
    /// There is none.
    Missing,
}

/// Which objects are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Their keys begin with this.
    pub prefix: String,
    /// Their keys come after this, in the order of bytes; a common prefix does too. Empty: from the first.
    pub after: String,
    /// Keys are shortened to the first of these after the prefix, and each is then listed once. Empty: they are not.
    pub delimiter: String,
    /// The most entries.
    pub most: usize,
}

/// Something in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An object.
    Object {
        /// Its key.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// Its entity tag, without quotes.
        etag: String,
        /// When it was written.
        modified_at: Timestamp,
    },
    /// What several keys begin with, the delimiter included.
    CommonPrefix(String),
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of bytes.
    pub entries: Vec<Entry>,
    /// Whether more come after the last one.
    pub more: bool,
}

/// Which uploads are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadListing {
    /// Their keys begin with this.
    pub prefix: String,
    /// They come after this key and id, in the order of bytes.
    pub after: (String, String),
    /// The most uploads.
    pub most: usize,
}
