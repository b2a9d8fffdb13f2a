//! Blobs that nothing needs any more, and what is let go of so that more are.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _};
use harbor_model::garbage::{Collected, Collection, GarbageKind, LetGo, Unneeded};
use harbor_model::{Timestamp, to_millisecond};
use object_store::ObjectStoreExt as _;
use uuid::Uuid;

use crate::blobs::{BlobError, Blobs, REST, leave, path};

/// How many blobs are removed, or looked up, at a time.
const AT_A_TIME: usize = 500;

/// How many portions of each kind one collection takes.
const PORTIONS: usize = 100;

impl Blobs {
    /// Lets go of what nobody has needed for `at_least`, or rehearses that; answers how much, and how many bytes nothing
    /// needs any more because of it. At most [`PORTIONS`] of each kind go at once.
    pub async fn collect(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, BlobError> {
        let now = to_millisecond(Timestamp::now_utc());
        let collection = Collection { before: now - at_least, now, parts_too: true, busy: self.readers.busy() };
        let mut told = Vec::new();
        if rehearse {
            told = self.index.rehearse(collection, PORTIONS).await?;
        } else {
            let mut seen = HashSet::new();
            for what in Unneeded::ALL {
                let mut all = self.let_go_of(what, &collection).await?;
                let let_go = self.index.let_go_at(now).await?.into_iter();
                all.blobs = let_go.filter(|blob| seen.insert(blob.clone())).collect();
                told.push((what, all));
            }
        }
        let mut collected = Vec::new();
        for (what, LetGo { count, more, blobs }) in told {
            let mut bytes = 0;
            for blob in blobs {
                bytes += match self.store.head(&path(&blob)).await {
                    Ok(found) => found.size,
                    Err(object_store::Error::NotFound { .. }) => 0,
                    Err(error) => return Err(error.into()),
                };
            }
            collected.push(Collected { kind: GarbageKind::Stored(what), count, bytes, more });
        }
        Ok(collected)
    }

    async fn let_go_of(&self, what: Unneeded, collection: &Collection) -> Result<LetGo, BlobError> {
        let mut all = LetGo::default();
        for _ in 0..PORTIONS {
            let now = Collection { busy: self.readers.busy(), ..collection.clone() };
            let next = self.index.let_go_of(what, now).await?;
            (all.count, all.more) = (all.count + next.count, next.more);
            if !all.more {
                break;
            }
        }
        Ok(all)
    }

    /// Removes blobs that nothing needs any more and nobody reads, and lets go of what has been kept long enough; answers how
    /// many blobs are gone. What fails holds up nothing else.
    pub async fn tidy(&self) -> Result<usize, BlobError> {
        let (now, mut outcome) = (Timestamp::now_utc(), Ok(()));
        for what in Unneeded::ALL {
            if let Some(kept) = what.kept() {
                let busy = self.readers.busy();
                let collection = Collection { before: now - kept, now, parts_too: false, busy };
                outcome = outcome.and(self.let_go_of(what, &collection).await.map(drop));
            }
        }
        let forgotten = self.forget().await;
        let removed = self.remove_leftovers().await;
        outcome.and(forgotten).and(removed)
    }

    /// Forgets blobs that nothing has needed for a while.
    async fn forget(&self) -> Result<(), BlobError> {
        loop {
            // no row needs them from here on; if harbor dies before they are gone, the next start finds them
            let forgotten = self.index.forget_blobs(Timestamp::now_utc() - REST, AT_A_TIME).await?;
            let last = forgotten.len() < AT_A_TIME;
            for blob in forgotten {
                leave(&self.leftovers, blob, Instant::now());
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Removes what is left over and nobody reads. One that cannot be removed holds up no other.
    async fn remove_leftovers(&self) -> Result<usize, BlobError> {
        let left = std::mem::take(&mut *self.leftovers.lock().unwrap_or_else(PoisonError::into_inner));
        let (ripe, mut kept): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|one| one.goes_at <= Instant::now() && !self.readers.read(&one.blob));
        // one whose recording was given up may have been recorded all the same
        let unknown = self.index.unknown_blobs(ripe.iter().map(|one| one.blob.clone()).collect()).await;
        let (mut removed, mut outcome) = (0, Ok(()));
        match unknown {
            Ok(unknown) => {
                for one in ripe.into_iter().filter(|one| unknown.contains(&one.blob)) {
                    match self.remove(&one.blob).await {
                        Ok(()) => removed += 1,
                        Err(error) => {
                            outcome = outcome.and(Err(error));
                            kept.push(one);
                        }
                    }
                }
            }
            Err(error) => {
                outcome = Err(error.into());
                kept.extend(ripe);
            }
        }
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
        outcome.map(|()| removed)
    }

    /// Removes what a harbor before this one wrote and its index never heard of; answers how many blobs.
    pub async fn sweep(&self) -> Result<usize, BlobError> {
        let mut found = self.store.list(None).map_ok(|file| file.location).try_chunks(AT_A_TIME);
        let mut removed = 0;
        while let Some(files) = found.next().await {
            let files = files.map_err(|error| error.1)?;
            let ids = files.iter().filter_map(|file| file.filename()).filter(|id| self.is_older(id));
            for blob in self.index.unknown_blobs(ids.map(str::to_owned).collect()).await? {
                self.remove(&blob).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether a blob with this id was written before this was opened.
    fn is_older(&self, id: &str) -> bool {
        let made = Uuid::try_parse(id).ok().and_then(|id| id.get_timestamp()).map(|made| made.to_unix());
        made.is_some_and(|(seconds, nanoseconds)| {
            Timestamp::UNIX_EPOCH + Duration::new(seconds, nanoseconds) < self.opened_at
        })
    }

    async fn remove(&self, blob: &str) -> Result<(), BlobError> {
        match self.store.delete(&path(blob)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
