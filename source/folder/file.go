package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/vfs"
)

// file is a file that is being taken.
type file struct {
	s     *Source
	name  string
	path  string
	info  fs.FileInfo // when it was opened
	raw   *os.File
	text  *importer.Source
	state *importer.State
	start importer.Position
	kept  int64 // bytes of rejects that belong to start

	rejects     *importer.Rejects // nil: there were none
	rejectsFile *os.File
	header      []byte
}

// open opens a file and finds out how far it was taken before.
func (s *Source) open(name string) (*file, error) {
	f := &file{s: s, name: name, path: filepath.Join(s.c.Path, name)}
	var err error
	if f.raw, err = os.Open(f.path); err != nil {
		return nil, err
	}
	if f.info, err = f.raw.Stat(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// begin reads how far the file was taken. An error of the text is a refusal.
func (f *file) begin() error {
	var err error
	if f.text, err = importer.NewSource(f.raw); err != nil {
		return err
	}
	head, err := f.text.Head()
	if err != nil {
		return err
	}
	im := importer.Import{
		Source: f.name, Head: head,
		Destination: fmt.Sprintf("pipeline, %d bytes of %s", f.info.Size(), f.info.ModTime().UTC().Format("2006-01-02T15:04:05.999999999Z")),
		Options:     fmt.Sprintf("%s %+v", f.s.c.Format, f.s.c.Mapping),
	}
	where := filepath.Join(f.s.c.Path, progressFile)
	if f.state, err = importer.OpenState(vfs.OS{}, where, im, f.s.now); err != nil {
		if ofSystem(err) {
			return err
		}
		// It is of another file, which was changed or taken away meanwhile.
		if err = os.Remove(where); err != nil {
			return err
		}
		if f.state, err = importer.OpenState(vfs.OS{}, where, im, f.s.now); err != nil {
			return err
		}
	}
	f.start, f.kept = f.state.Start()
	return nil
}

// read hands the file to the intake, from where it was taken up to.
func (f *file) read(ctx context.Context, intake source.Intake) error {
	if err := f.begin(); err != nil {
		return err
	}
	if f.s.c.Format == CSV {
		return f.csv(ctx, intake)
	}
	if err := f.text.Skip(f.start.Offset); err != nil {
		return err
	}
	return f.messages(ctx, intake)
}

// message returns a message of the file. The time of readings that have none is
// that of the file's last change, so that they have the same time when it is
// taken again.
func (f *file) message(payload []byte, line int64) source.Message {
	return source.Message{Topic: strings.ToValidUTF8(f.name, "\uFFFD"), Payload: payload, Time: f.info.ModTime().UnixNano(), Offset: line}
}

// csv hands over the rows as columns.
func (f *file) csv(ctx context.Context, intake source.Intake) error {
	c := importer.Default(1, f.s.now)
	c.MaxBad = -1
	c.MaxRowBytes = min(c.MaxRowBytes, f.s.c.MaxMessage)
	c.Start = f.start
	c.Reached = func(p importer.Position, _ importer.Progress) error { return f.reached(p) }
	c.Header = func(text []byte) { f.header = append([]byte(nil), text...) }
	c.Reject = f.reject
	_, err := importer.CSV(ctx, f.text, &destination{f, intake}, f.s.c.Mapping, c)
	return err
}

// destination is an intake as an importer sees it.
type destination struct {
	f      *file
	intake source.Intake
}

// Write implements importer.Destination. What the intake refuses it has kept.
func (d *destination) Write(ctx context.Context, b *column.Batch) error {
	m := d.f.message(nil, -1)
	s := d.f.s
	_, err := source.Persist(ctx, func(ctx context.Context) (source.Result, error) { return d.intake.TakeBatch(ctx, 0, b, &m) },
		func(err error) { s.tell(&s.intake, err) })
	return err
}

// reject writes a row that cannot be read to failed/NAME.rejects.
func (f *file) reject(row importer.Reject) error {
	if f.rejects == nil {
		dir := filepath.Join(f.s.c.Path, failedFolder)
		if err := vfs.MkdirAllSync(vfs.OS{}, dir); err != nil {
			return err
		}
		file, err := os.OpenFile(filepath.Join(dir, f.name+".rejects"), os.O_CREATE|os.O_RDWR, 0o640)
		if err != nil {
			return err
		}
		f.rejectsFile = file
		if err := file.Truncate(f.kept); err != nil {
			return err
		}
		if _, err := file.Seek(f.kept, io.SeekStart); err != nil {
			return err
		}
		comment := f.s.c.Mapping.Comment
		if comment == 0 {
			comment = '#'
		}
		f.rejects = importer.NewRejects(file, f.kept, comment)
		f.rejects.Header(f.header)
	}
	f.s.count(func(all *stats) { all.rejected++ })
	return f.rejects.Add(row)
}

// reached notes that everything before a position is taken.
func (f *file) reached(p importer.Position) error { return f.state.Reached(p, f.rejects) }

// keep makes the newest position durable.
func (f *file) keep() error {
	if f.state == nil {
		return nil
	}
	return f.state.Keep(f.rejects)
}

// forget drops the position: the file is another one by now.
func (f *file) forget() error {
	if f.state == nil {
		return nil
	}
	return f.state.Done()
}

// done puts away a file that was taken wholly.
func (f *file) done() error {
	if f.rejects != nil {
		if _, err := f.rejects.Sync(); err != nil {
			return err
		}
	}
	if f.s.c.Remove {
		if err := os.Remove(f.path); err != nil {
			return err
		}
	} else if err := f.move(doneFolder, nil); err != nil {
		return err
	}
	f.s.count(func(all *stats) { all.done++ })
	return f.forget()
}

// fail puts away a file that cannot be read, with the reason.
func (f *file) fail(why refusal) error {
	if err := f.move(failedFolder, []byte(why.Error()+"\n")); err != nil {
		return err
	}
	f.s.count(func(all *stats) { all.failed++ })
	return f.forget()
}

// move moves the file to a folder beside it, under a name that is free there, and
// writes a note, if there is one, before.
func (f *file) move(folder string, note []byte) error {
	dir := filepath.Join(f.s.c.Path, folder)
	if err := vfs.MkdirAllSync(vfs.OS{}, dir); err != nil {
		return err
	}
	to := filepath.Join(dir, f.name)
	for n := 2; ; n++ {
		_, err := os.Lstat(to)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		to = filepath.Join(dir, f.name+"."+strconv.Itoa(n))
	}
	if note != nil {
		if err := vfs.WriteFileAtomic(vfs.OS{}, to+".reason", note); err != nil {
			return err
		}
	}
	if err := os.Rename(f.path, to); err != nil {
		return err
	}
	return vfs.SyncDir(vfs.OS{}, dir)
}

func (f *file) close() {
	if f.text != nil {
		f.text.Close()
	}
	if f.rejectsFile != nil {
		_ = f.rejectsFile.Close() // it is synced
	}
	if f.raw != nil {
		_ = f.raw.Close() // it is only read
	}
}
