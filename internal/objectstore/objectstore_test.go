package objectstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/nself/tenancy/internal/local/s3"
	"github.com/nself/tenancy/internal/objectstore"
)

var server *s3.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if server, err = s3.Start(context.Background(), s3.Config{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = server.Close() }()
		return m.Run()
	}())
}

func config() objectstore.Config {
	return objectstore.Config{Endpoint: server.URL(), Region: s3.Region, AccessKeyID: server.AccessKeyID(), SecretAccessKey: server.SecretAccessKey()}
}

func open(t *testing.T) *objectstore.Store {
	t.Helper()
	store, err := objectstore.New(config())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// as signs in with an account's credentials.
func as(t *testing.T, access, secret string) *minio.Client {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(server.URL(), "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Region: s3.Region, BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// place makes a bucket with an account of the same name and an object in it.
func place(t *testing.T, store *objectstore.Store, name string) *minio.Client {
	t.Helper()
	for range 2 { // again is no error
		if err := store.EnsureAccount(t.Context(), name, "secret-of-"+name); err != nil {
			t.Fatal(err)
		}
		if err := store.EnsureBucket(t.Context(), name, name); err != nil {
			t.Fatal(err)
		}
	}
	client := as(t, name, "secret-of-"+name)
	if err := put(t, client, name, "a"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = store.RemoveAccount(context.Background(), name)
		_, _ = store.RemoveBucket(context.Background(), name, func() {})
	})
	return client
}

func put(t *testing.T, client *minio.Client, bucket, key string) error {
	t.Helper()
	_, err := client.PutObject(t.Context(), bucket, key, strings.NewReader("of "+bucket), -1, minio.PutObjectOptions{})
	return err
}

func read(t *testing.T, client *minio.Client, bucket, key string) (string, error) {
	t.Helper()
	object, err := client.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", err
	}
	defer func() { _ = object.Close() }()
	text, err := io.ReadAll(object)
	return string(text), err
}

func names(client *minio.Client, bucket string) (found []string, err error) {
	for object := range client.ListObjects(context.Background(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return nil, object.Err
		}
		found = append(found, object.Key)
	}
	return found, nil
}

func TestATenantWorksInItsBucket(t *testing.T) {
	we := place(t, open(t), "ours")
	big := bytes.Repeat([]byte("x"), 6<<20)
	if _, err := we.PutObject(t.Context(), "ours", "deep/big", bytes.NewReader(big), int64(len(big)), minio.PutObjectOptions{PartSize: 5 << 20}); err != nil {
		t.Error("in parts:", err)
	}
	if _, err := we.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: "ours", Object: "b"}, minio.CopySrcOptions{Bucket: "ours", Object: "a"}); err != nil {
		t.Error("copy:", err)
	}
	if got, err := read(t, we, "ours", "b"); err != nil || got != "of ours" {
		t.Errorf("%q, %v", got, err)
	}
	if err := we.RemoveObject(t.Context(), "ours", "b", minio.RemoveObjectOptions{}); err != nil {
		t.Error("delete:", err)
	}
	if found, err := names(we, "ours"); err != nil || !cmp.Equal(found, []string{"a", "deep/big"}) {
		t.Errorf("%v, %v", found, err)
	}
	signed, err := we.PresignedGetObject(t.Context(), "ours", "a", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status := fetch(t, http.MethodGet, signed.String()); status != http.StatusOK {
		t.Errorf("a signed link answers %d", status)
	}
}

func fetch(t *testing.T, method, at string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestCredentialsOpenNoOtherBucketNotEvenItsName(t *testing.T) {
	store := open(t)
	we, they := place(t, store, "ours"), place(t, store, "theirs")
	core := minio.Core{Client: we}
	ctx := t.Context()
	upload, err := (&minio.Core{Client: they}).NewMultipartUpload(ctx, "theirs", "parts", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ourUpload, err := core.NewMultipartUpload(ctx, "ours", "parts", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	only := func(_ any, err error) error { return err }
	for what, err := range map[string]error{
		"get":                 only(read(t, we, "theirs", "a")),
		"stat":                only(we.StatObject(ctx, "theirs", "a", minio.StatObjectOptions{})),
		"put":                 put(t, we, "theirs", "b"),
		"delete":              we.RemoveObject(ctx, "theirs", "a", minio.RemoveObjectOptions{}),
		"list":                only(names(we, "theirs")),
		"copy from":           only(we.CopyObject(ctx, minio.CopyDestOptions{Bucket: "ours", Object: "stolen"}, minio.CopySrcOptions{Bucket: "theirs", Object: "a"})),
		"copy to":             only(we.CopyObject(ctx, minio.CopyDestOptions{Bucket: "theirs", Object: "b"}, minio.CopySrcOptions{Bucket: "ours", Object: "a"})),
		"copy a part from":    only(core.CopyObjectPart(ctx, "theirs", "a", "ours", "parts", ourUpload, 1, 0, -1, nil)),
		"tags":                only(we.GetObjectTagging(ctx, "theirs", "a", minio.GetObjectTaggingOptions{})),
		"begin parts":         only(core.NewMultipartUpload(ctx, "theirs", "b", minio.PutObjectOptions{})),
		"list parts":          only(core.ListObjectParts(ctx, "theirs", "parts", upload, 0, 10)),
		"list uploads":        only(core.ListMultipartUploads(ctx, "theirs", "", "", "", "", 10)),
		"abort their parts":   core.AbortMultipartUpload(ctx, "theirs", "parts", upload),
		"a part of theirs":    only(core.PutObjectPart(ctx, "theirs", "parts", upload, 1, strings.NewReader("x"), 1, minio.PutObjectPartOptions{})),
		"read its policy":     only(we.GetBucketPolicy(ctx, "theirs")),
		"set its policy":      we.SetBucketPolicy(ctx, "theirs", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::theirs/*"]}]}`),
		"delete its policy":   we.SetBucketPolicy(ctx, "theirs", ""),
		"its versioning":      only(we.GetBucketVersioning(ctx, "theirs")),
		"set its versioning":  we.EnableVersioning(ctx, "theirs"),
		"remove it":           we.RemoveBucket(ctx, "theirs"),
		"make it":             we.MakeBucket(ctx, "theirs", minio.MakeBucketOptions{}),
		"make another":        we.MakeBucket(ctx, "third", minio.MakeBucketOptions{}),
		"path out of ours":    only(read(t, we, "ours", "../theirs/a")),
		"path into ours":      put(t, we, "ours", "../theirs/b"),
		"open our own policy": we.SetBucketPolicy(ctx, "ours", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":["arn:aws:s3:::ours/*"]}]}`),
		"lock our own bucket": we.SetBucketObjectLockConfig(ctx, "ours", nil, nil, nil),
		"remove our own":      we.RemoveBucket(ctx, "ours"),
	} {
		if err == nil {
			t.Errorf("%s is let through", what)
		} else if code := minio.ToErrorResponse(err).Code; code != "AccessDenied" && !strings.HasPrefix(what, "path") && !strings.HasPrefix(what, "make it") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Deleting many at once answers object by object.
	gone := make(chan minio.ObjectInfo, 1)
	gone <- minio.ObjectInfo{Key: "a"}
	close(gone)
	var refused int
	for range we.RemoveObjects(ctx, "theirs", gone, minio.RemoveObjectsOptions{}) {
		refused++
	}
	if refused != 1 {
		t.Errorf("deleting many: %d refused", refused)
	}
	if buckets, err := we.ListBuckets(ctx); err != nil || len(buckets) != 0 {
		t.Errorf("buckets that a tenant sees: %v, %v", buckets, err)
	}
	if found, err := names(they, "theirs"); err != nil || !cmp.Equal(found, []string{"a"}) {
		t.Errorf("theirs holds %v, %v", found, err)
	}
	if got, err := read(t, they, "theirs", "a"); err != nil || got != "of theirs" {
		t.Errorf("%q, %v", got, err)
	}
	if err := core.AbortMultipartUpload(ctx, "ours", "parts", ourUpload); err != nil {
		t.Error(err)
	}
}

func TestLinksSignedByOneOpenNothingOfAnother(t *testing.T) {
	store := open(t)
	we := place(t, store, "ours")
	place(t, store, "theirs")
	for method, sign := range map[string]func() (*url.URL, error){
		http.MethodGet: func() (*url.URL, error) { return we.PresignedGetObject(t.Context(), "theirs", "a", time.Minute, nil) },
		http.MethodPut: func() (*url.URL, error) { return we.PresignedPutObject(t.Context(), "theirs", "b", time.Minute) },
		http.MethodDelete: func() (*url.URL, error) {
			return we.Presign(t.Context(), http.MethodDelete, "theirs", "a", time.Minute, nil)
		},
	} {
		signed, err := sign()
		if err != nil {
			t.Fatal(err)
		}
		if status := fetch(t, method, signed.String()); status != http.StatusForbidden {
			t.Errorf("%s answers %d", method, status)
		}
	}
	own, err := we.PresignedGetObject(t.Context(), "ours", "a", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	location, err := we.Presign(t.Context(), http.MethodGet, "theirs", "", time.Minute, url.Values{"location": {""}})
	if err != nil {
		t.Fatal(err)
	}
	for what, at := range map[string]string{
		"where theirs is":                 location.String(),
		"another bucket in a signed link": strings.Replace(own.String(), "/ours/", "/theirs/", 1),
		"no signature":                    server.URL() + "/theirs/a",
		"no signature, our own":           server.URL() + "/ours/a",
	} {
		if status := fetch(t, http.MethodGet, at); status != http.StatusForbidden {
			t.Errorf("%s answers %d", what, status)
		}
	}
	if err := store.EnsureAccount(t.Context(), "ours", "another-secret"); err != nil {
		t.Fatal(err)
	}
	if status := fetch(t, http.MethodGet, own.String()); status != http.StatusForbidden {
		t.Errorf("a link signed with the secret of before answers %d", status)
	}
}
