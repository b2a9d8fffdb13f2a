//! Buckets.

use harbor_model::objects::BucketRemoval;
use s3s::dto::{
    Bucket, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput,
    GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput, Owner,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::errors::no_bucket;
use super::{Face, done};

/// Who owns every bucket and object.
pub(super) fn owner() -> Owner {
    Owner { display_name: Some("harbor".to_owned()), id: Some("harbor".to_owned()) }
}

impl Face {
    /// That there is this bucket.
    pub(super) async fn need_bucket(&self, name: &str) -> S3Result<()> {
        if self.blobs.index().has_bucket(name).await? { Ok(()) } else { Err(no_bucket()) }
    }

    pub(super) async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.blobs.index().buckets().await?;
        let buckets = buckets.into_iter().map(|(name, created_at)| Bucket {
            name: Some(name),
            creation_date: Some(created_at.into()),
            bucket_region: None,
        });
        done(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(owner()),
            ..ListBucketsOutput::default()
        })
    }

    pub(super) async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let input = request.input;
        if input.object_lock_enabled_for_bucket.is_some_and(|enabled| enabled) {
            return Err(s3_error!(NotImplemented, "Locks of objects are not kept here."));
        }
        if !self.blobs.index().create_bucket(&input.bucket).await? {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "There is a bucket of this name."));
        }
        done(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) })
    }

    pub(super) async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.need_bucket(&request.input.bucket).await?;
        done(HeadBucketOutput { bucket_region: Some(self.region.clone()), ..HeadBucketOutput::default() })
    }

    pub(super) async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.need_bucket(&request.input.bucket).await?;
        // none is the first region's name
        done(GetBucketLocationOutput::default())
    }

    pub(super) async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        match self.blobs.index().remove_bucket(&request.input.bucket).await? {
            BucketRemoval::Removed => done(DeleteBucketOutput::default()),
            BucketRemoval::NotEmpty => {
                Err(s3_error!(BucketNotEmpty, "The bucket has objects or uploads: remove them first."))
            }
            BucketRemoval::Missing => Err(no_bucket()),
        }
    }
}
