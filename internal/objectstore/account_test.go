package objectstore_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/nself/tenancy/internal/objectstore"
)

func TestAnAccountAdministratesNothing(t *testing.T) {
	store := open(t)
	place(t, store, "ours")
	place(t, store, "theirs")
	ours := config()
	ours.AccessKeyID, ours.SecretAccessKey = "ours", "secret-of-ours"
	we, err := objectstore.New(ours)
	if err != nil {
		t.Fatal(err)
	}
	_, listed := we.Accounts(t.Context())
	for what, err := range map[string]error{
		"list accounts": listed, "change another's secret": we.EnsureAccount(t.Context(), "theirs", "x"),
		"remove another": we.RemoveAccount(t.Context(), "theirs"), "check": we.Check(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), "does not let") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, path := range []string{"/list-buckets", "/change-bucket-owner?bucket=theirs&owner=ours"} {
		if status := fetch(t, http.MethodPatch, server.URL()+path); status == http.StatusOK {
			t.Errorf("%s answers %d without a signature", path, status)
		}
	}
}

func TestAnAccountThatIsRemovedOpensNothingAndComesBackToItsObjects(t *testing.T) {
	store := open(t)
	we := place(t, store, "ours")
	if accounts, err := store.Accounts(t.Context()); err != nil || !accounts["ours"] {
		t.Errorf("%v, %v", accounts, err)
	}
	for range 2 {
		if err := store.RemoveAccount(t.Context(), "ours"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := read(t, we, "ours", "a"); err == nil {
		t.Error("it reads on")
	}
	if err := store.EnsureAccount(t.Context(), "ours", "secret-of-ours"); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, we, "ours", "a"); err != nil || got != "of ours" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRemovedIsEveryVersionAndEveryUploadUnderWay(t *testing.T) {
	store := open(t)
	we := place(t, store, "ours")
	place(t, store, "theirs")
	admin := as(t, server.AccessKeyID(), server.SecretAccessKey())
	if err := admin.EnableVersioning(t.Context(), "ours"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a", "deep/er/b"} {
		if err := put(t, we, "ours", key); err != nil {
			t.Fatal(err)
		}
	}
	if err := we.RemoveObject(t.Context(), "ours", "a", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	core := minio.Core{Client: we}
	if _, err := core.NewMultipartUpload(t.Context(), "ours", "parts", minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	removed, err := store.RemoveBucket(t.Context(), "ours", func() {})
	if err != nil || removed < 4 {
		t.Errorf("%d removed, %v", removed, err)
	}
	if removed, err := store.RemoveBucket(t.Context(), "ours", func() {}); err != nil || removed != 0 {
		t.Errorf("again: %d removed, %v", removed, err)
	}
	for bucket, want := range map[string]bool{"ours": false, "theirs": true} {
		if has, err := store.HasBucket(t.Context(), bucket); err != nil || has != want {
			t.Errorf("%s: %v, %v", bucket, has, err)
		}
	}
}

func TestWhoeverIsNotLetInIsToldWhichSettingsToLookAt(t *testing.T) {
	wrong := config()
	wrong.SecretAccessKey = "wrong"
	store, err := objectstore.New(wrong)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "S3_SECRET_ACCESS_KEY") {
		t.Error(err)
	}
	if err := open(t).Check(t.Context()); err != nil {
		t.Error(err)
	}
}
