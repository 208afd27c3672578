package objectstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"
)

// What an account may do with its bucket, and with what is in it. Left out is what outlasts
// the account or concerns others: policies, access lists, ownership, object locks, the bucket
// itself.
var (
	onBucket = []string{
		"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions", "s3:GetBucketVersioning",
	}
	onObjects = []string{
		"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectAttributes",
		"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging",
	}
)

type statement struct {
	Effect    string
	Principal map[string]string
	Action    []string
	Resource  string
}

// EnsureBucket makes the bucket where it is not there, and opens it to the account, which
// has to be there, and to nobody else.
func (s *Store) EnsureBucket(ctx context.Context, bucket, access string) error {
	err := s.s3.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: s.config.Region})
	if code := minio.ToErrorResponse(err).Code; err != nil && code != "BucketAlreadyOwnedByYou" {
		return explain("make bucket "+bucket, err)
	}
	to := map[string]string{"AWS": access}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []statement{
		{"Allow", to, onBucket, "arn:aws:s3:::" + bucket}, {"Allow", to, onObjects, "arn:aws:s3:::" + bucket + "/*"},
	}})
	if err != nil {
		return err
	}
	if err := s.s3.SetBucketPolicy(ctx, bucket, string(policy)); err != nil {
		return explain("set the policy of bucket "+bucket, err)
	}
	return nil
}

// HasBucket reports whether there is such a bucket.
func (s *Store) HasBucket(ctx context.Context, bucket string) (bool, error) {
	has, err := s.s3.BucketExists(ctx, bucket)
	if err != nil {
		return false, explain("look for bucket "+bucket, err)
	}
	return has, nil
}

// Buckets are the names of all buckets.
func (s *Store) Buckets(ctx context.Context) (map[string]bool, error) {
	list, err := s.s3.ListBuckets(ctx)
	if err != nil {
		return nil, explain("list buckets", err)
	}
	names := make(map[string]bool, len(list))
	for _, b := range list {
		names[b.Name] = true
	}
	return names, nil
}

// RemoveBucket deletes everything in the bucket, every version and every upload under way
// included, and the bucket, and says how many objects there were. One that is not there is
// no error. Nobody may be writing: its account goes first. It calls moves with every one of
// them, from another goroutine.
func (s *Store) RemoveBucket(ctx context.Context, bucket string, moves func()) (removed int64, err error) {
	if removed, err = s.empty(ctx, bucket, moves); err == nil {
		err = s.s3.RemoveBucket(ctx, bucket)
	}
	if err == nil || minio.ToErrorResponse(err).Code == noBucket {
		return removed, nil
	}
	return removed, explain("remove bucket "+bucket, err)
}

const noBucket = "NoSuchBucket"

func (s *Store) empty(ctx context.Context, bucket string, moves func()) (removed int64, err error) {
	listing, stop := context.WithCancel(ctx)
	defer stop() // ends the listing where it is given up
	objects := make(chan minio.ObjectInfo)
	listed := make(chan error, 1)
	go func() {
		defer close(objects)
		listed <- s.each(listing, bucket, objects, func() { removed++; moves() })
	}()
	var faults []error
	for fault := range s.s3.RemoveObjects(ctx, bucket, objects, minio.RemoveObjectsOptions{GovernanceBypass: true}) {
		if len(faults) < 3 {
			faults = append(faults, fmt.Errorf("%.200q: %w", fault.ObjectName, fault.Err))
		}
	}
	if err := <-listed; err != nil {
		return removed, err
	}
	if len(faults) > 0 {
		return removed, errors.Join(faults...)
	}
	return removed, s.abort(ctx, bucket)
}

// each sends every version of every object.
func (s *Store) each(ctx context.Context, bucket string, to chan<- minio.ObjectInfo, sent func()) error {
	for object := range s.s3.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if object.Err != nil {
			return object.Err
		}
		select {
		case to <- object:
			sent()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// abort ends the uploads that were begun in parts and never completed.
func (s *Store) abort(ctx context.Context, bucket string) error {
	core := minio.Core{Client: s.s3}
	for {
		list, err := core.ListMultipartUploads(ctx, bucket, "", "", "", "", 1000)
		if err != nil {
			return err
		}
		for _, upload := range list.Uploads {
			if err := core.AbortMultipartUpload(ctx, bucket, upload.Key, upload.UploadID); err != nil {
				return err
			}
		}
		if !list.IsTruncated || len(list.Uploads) == 0 {
			return nil
		}
	}
}
