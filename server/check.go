package server

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/varvedb/varve/catalog/bolt"
	"github.com/varvedb/varve/check"
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

// upkeep implements httpapi.Upkeep.
type upkeep struct {
	*store
	forget *forgetter
	disk   vfs.FS
	schema *meta.Schema
}

// Settle flushes and compacts until nothing is left to do, and frees the names
// that lost their last value.
func (u *upkeep) Settle(ctx context.Context) error {
	if err := u.store.Settle(ctx); err != nil {
		return err
	}
	return u.forget.pass(ctx)
}

// Check pins a snapshot of one shard after the other and walks it.
func (u *upkeep) Check(ctx context.Context, report func(httpapi.Problem)) error {
	c := checkConfig(u.disk, u.schema, func(p check.Problem) {
		report(httpapi.Problem{File: p.File, Offset: p.Offset, Message: p.Message})
	})
	for _, sh := range u.shards {
		snapshot, err := sh.Snapshot()
		if err != nil {
			return passing(err)
		}
		_, err = check.Snapshot(ctx, c, snapshot)
		snapshot.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func checkConfig(disk vfs.FS, schema *meta.Schema, report func(check.Problem)) check.Config {
	return check.Config{
		FS: disk,
		Schema: func(bucket uint64, measurement, field string) (column.Type, bool) {
			m := schema.Measurement(bucket, measurement)
			if m == nil {
				return 0, false
			}
			return m.Kind(field).Type()
		},
		OpenLog: func(dir string, start wlog.Position) (wlog.Log, error) {
			fc := file.Default(disk, dir)
			fc.Start, fc.Now = start, time.Now
			l, err := file.Open(fc)
			if err != nil {
				return nil, err // not l, which would be an interface that is not nil
			}
			return l, nil
		},
		Report: report,
	}
}

// CheckFolder walks a data folder that no server uses, and changes nothing in
// it but the lock that keeps servers out meanwhile. The version is this
// program's.
func CheckFolder(ctx context.Context, dataDir, version string, report func(check.Problem)) (check.Totals, error) {
	disk := vfs.OS{}
	if _, err := disk.Stat(filepath.Join(dataDir, storeFolder, layoutFile)); err != nil {
		return check.Totals{}, fmt.Errorf("check %s: there is no store: %w", dataDir, err)
	}
	f, err := openFolder(disk, dataDir)
	if err != nil {
		return check.Totals{}, err
	}
	defer f.close()
	l, err := f.readLayout(version)
	if err != nil {
		return check.Totals{}, err
	}
	catalog, err := bolt.Open(bolt.Default(f.name(catalogFile)))
	if err != nil {
		return check.Totals{}, err
	}
	defer catalog.Close()
	var total check.Totals
	err = catalog.Check(ctx, func(found error) {
		total.Problems++
		report(check.Problem{File: f.name(catalogFile), Message: found.Error()})
	})
	if err != nil {
		return total, err
	}
	schema, err := meta.OpenSchema(ctx, catalog, meta.DefaultSchema())
	if err != nil {
		return total, err
	}
	defer schema.Close()
	c := checkConfig(disk, schema, report)
	for i := range l.Shards {
		t, err := check.Folder(ctx, c, f.name(storeFolder, shardFolder(i)))
		total.Segments += t.Segments
		total.Sections += t.Sections
		total.Rows += t.Rows
		total.Values += t.Values
		total.Bytes += t.Bytes
		total.LogRecords += t.LogRecords
		total.Problems += t.Problems
		if err != nil {
			return total, err
		}
	}
	records, err := checkRetained(ctx, f, func(p check.Problem) {
		total.Problems++
		report(p)
	})
	total.LogRecords += records
	return total, err
}

// shardPrefix begins the names of the folders of shards.
const shardPrefix = "shard-"

func shardFolder(i int) string { return shardPrefix + strconv.Itoa(i) }
