package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Config says which bucket of an S3 service to export to.
type S3Config struct {
	Endpoint  string // host and port; empty: Amazon's of the region
	Insecure  bool   // HTTP instead of HTTPS
	Region    string
	AccessKey string
	SecretKey string
	Session   string // token of temporary credentials; empty: none
	Bucket    string
	Prefix    string // of the names of objects
	PartBytes uint64 // of an upload; each is held in memory
}

// DefaultS3 returns a configuration without names and keys.
func DefaultS3() S3Config {
	return S3Config{
		Region:    "us-east-1",
		PartBytes: 16 << 20, // ten thousand of them, which S3 allows, are 160 GiB
	}
}

// S3 is a Destination in a bucket of an S3 service. An object appears when its
// upload is complete.
type S3 struct {
	cfg    S3Config
	client *minio.Client
}

// NewS3 returns a destination. It asks the service nothing yet.
func NewS3(cfg S3Config) (*S3, error) {
	cfg.Prefix = strings.Trim(cfg.Prefix, "/")
	if cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, errors.New("export to S3: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = "s3." + cfg.Region + ".amazonaws.com"
	}
	c, err := minio.New(cfg.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, cfg.Session),
		Secure: !cfg.Insecure,
		Region: cfg.Region,
	})
	if err != nil {
		return nil, fmt.Errorf("export to S3 at %s: %w", cfg.Endpoint, err)
	}
	return &S3{cfg, c}, nil
}

func (d *S3) url(name string) string { return "s3://" + path.Join(d.cfg.Bucket, d.cfg.Prefix, name) }

// Check implements Destination: what an earlier export left would be read
// together with this one.
func (d *S3) Check(ctx context.Context) error {
	prefix := d.cfg.Prefix
	if prefix != "" {
		prefix += "/"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing
	o, ok := <-d.client.ListObjects(ctx, d.cfg.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, MaxKeys: 1})
	switch {
	case !ok:
		return nil
	case o.Err != nil:
		return fmt.Errorf("export to %s: %w", d.url(""), o.Err)
	}
	return fmt.Errorf("export to %s: it is not empty, it has %s: give another prefix", d.url(""), o.Key)
}

// Create implements Destination.
func (d *S3) Create(ctx context.Context, name string) (File, error) {
	r, w := io.Pipe()
	f := &s3File{PipeWriter: w, done: make(chan error, 1)}
	go func() {
		body, size := bufio.NewReader(r), int64(-1)
		if _, err := body.Peek(1); err == io.EOF {
			size = 0 // an upload in parts has one at least
		}
		_, err := d.client.PutObject(ctx, d.cfg.Bucket, path.Join(d.cfg.Prefix, name), body, size, minio.PutObjectOptions{
			PartSize: d.cfg.PartBytes, ContentType: "application/octet-stream",
			// Not all services read the chunks that are signed one by one; each
			// part has a checksum instead.
			DisableContentSha256: true, SendContentMd5: true,
		})
		if err != nil {
			err = fmt.Errorf("upload %s: %w", d.url(name), err)
		}
		r.CloseWithError(err) // writers learn of it
		f.done <- err
	}()
	return f, nil
}

// s3File is an upload under way.
type s3File struct {
	*io.PipeWriter
	done chan error
}

func (f *s3File) Commit() error {
	_ = f.Close() // never fails
	return <-f.done
}

// errGivenUp ends an upload without an object.
var errGivenUp = errors.New("the export was given up")

func (f *s3File) Abort() {
	f.CloseWithError(errGivenUp)
	<-f.done
}
