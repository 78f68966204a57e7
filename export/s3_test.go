package export_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/varvedb/varve/export"
	"github.com/varvedb/varve/export/stream"
	"github.com/varvedb/varve/vfs"
)

// fakeS3 starts a service with the bucket "data".
func fakeS3(t *testing.T) (gofakes3.Backend, export.S3Config) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(s.Close)
	c := export.DefaultS3()
	c.Endpoint, c.Insecure = strings.TrimPrefix(s.URL, "http://"), true
	c.AccessKey, c.SecretKey = "key", "a-secret-of-s3"
	c.Bucket, c.Prefix = "data", "/varve/today/"
	c.PartBytes = 5 << 20 // the least that S3 takes
	return backend, c
}

func TestS3(t *testing.T) {
	backend, c := fakeS3(t)
	dst, err := export.NewS3(c)
	if err != nil {
		t.Fatal(err)
	}
	text := randomLines(rand.New(rand.NewPCG(5, 6)), 500)
	report := run(t, text, stream.Day, dst, export.Default(export.Parquet))

	// The same files as in a folder.
	dir := filepath.Join(t.TempDir(), "out")
	run(t, text, stream.Day, export.NewFolder(vfs.OS{}, dir), export.Default(export.Parquet))
	list, err := backend.ListBucket("data", &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range list.Contents {
		names = append(names, strings.TrimPrefix(o.Key, "varve/today/"))
	}
	slices.Sort(names)
	if d := cmp.Diff(filesBelow(t, dir, ""), names); d != "" || int(report.Files) != len(names)-1 {
		t.Errorf("%d files:\n%s", report.Files, d)
	}
	for _, name := range names {
		o, err := backend.GetObject("data", path.Join("varve/today", name), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o.Contents)
		if err != nil {
			t.Fatal(err)
		}
		want, err := vfs.ReadFile(vfs.OS{}, filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the file", name)
		}
	}

	r := stream.Whole()
	if _, err := export.Run(context.Background(), source(text), &r, dst, export.Default(export.Parquet)); err == nil || !strings.Contains(err.Error(), "it is not empty") {
		t.Errorf("a second export to one prefix: %v", err)
	}
}

// TestS3LargeObject is one of several parts.
func TestS3LargeObject(t *testing.T) {
	backend, c := fakeS3(t)
	dst, err := export.NewS3(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := dst.Create(context.Background(), "large")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	rng := rand.New(rand.NewPCG(7, 8))
	block := make([]byte, 1<<20)
	for range 12 {
		for i := range block {
			block[i] = byte(rng.Uint32())
		}
		want.Write(block)
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	o, err := backend.GetObject("data", "varve/today/large", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(o.Contents); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes came back, error %v", len(got), err)
	}
}

func TestS3Errors(t *testing.T) {
	backend, c := fakeS3(t)
	without := c
	without.SecretKey = ""
	if _, err := export.NewS3(without); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("no credentials: %v", err)
	}
	missing := c
	missing.Bucket = "nowhere"
	dst, err := export.NewS3(missing)
	if err != nil {
		t.Fatal(err)
	}
	r := stream.Whole()
	_, err = export.Run(context.Background(), source("m f=1 1\n"), &r, dst, export.Default(export.Parquet))
	if err == nil || !strings.Contains(err.Error(), "s3://nowhere") || strings.Contains(err.Error(), c.SecretKey) {
		t.Errorf("no bucket: %v", err)
	}
	if dst, err = export.NewS3(c); err != nil {
		t.Fatal(err)
	}
	if _, err := export.Run(context.Background(), broken{}, &r, dst, export.Default(export.Parquet)); err == nil {
		t.Error("a broken source is no error")
	}
	list, err := backend.ListBucket("data", &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil || len(list.Contents) != 0 {
		t.Errorf("a broken export left %v, %v", list.Contents, err)
	}
}
