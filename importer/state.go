package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/varvedb/varve/vfs"
)

// State keeps in a file how far an import is, so that it can be resumed after
// whatever ended it. The file is there from the first position on until Done.
type State struct {
	disk vfs.FS
	name string
	now  func() time.Time
	next time.Time
	have stateFile
	late bool // have is newer than the file
}

// Import says which import a state belongs to: another one must not go on from
// its position.
type Import struct {
	Source      string `json:"source"`      // name of the file
	Head        string `json:"head"`        // Source.Head
	Destination string `json:"destination"` // server or folder, and bucket
	Options     string `json:"options"`     // what makes rows of the text
}

// stateFile is what is in the file.
type stateFile struct {
	Version     int   `json:"version"`
	RejectBytes int64 `json:"reject_bytes"` // how much of the file of rejects belongs to the position
	Position
	Import
}

const (
	stateVersion = 1
	// stateEvery is how much of an import may have to be written again; a
	// state costs two fsyncs.
	stateEvery = time.Second
)

// OpenState reads the state of an import, if the file is there.
func OpenState(disk vfs.FS, name string, im Import, now func() time.Time) (*State, error) {
	s := &State{disk: disk, name: name, now: now, have: stateFile{Version: stateVersion, Import: im}}
	b, err := vfs.ReadFile(disk, name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var have stateFile
	if err := json.Unmarshal(b, &have); err != nil {
		return nil, fmt.Errorf("read state %s: it is no state of an import: %w", name, err)
	}
	switch {
	case have.Version != stateVersion:
		return nil, fmt.Errorf("read state %s: version %d is not known; this program knows %d", name, have.Version, stateVersion)
	case have.Import != im:
		return nil, fmt.Errorf("state %s is of another import (%s to %s, or other contents or options): name another file, or remove it to begin anew",
			name, have.Source, have.Destination)
	}
	s.have = have
	return s, nil
}

// Start returns where to begin, and how much of the file of rejects to keep.
func (s *State) Start() (at Position, rejectBytes int64) { return s.have.Position, s.have.RejectBytes }

// Reached notes a position, and keeps it if the last one that was kept is some
// time ago. rejects may be nil.
func (s *State) Reached(p Position, rejects *Rejects) error {
	s.have.Position, s.late = p, true
	if now := s.now(); !now.Before(s.next) {
		s.next = now.Add(stateEvery)
		return s.Keep(rejects)
	}
	return nil
}

// Keep makes the newest position durable, and before it the rejects.
func (s *State) Keep(rejects *Rejects) error {
	if !s.late {
		return nil
	}
	if rejects != nil {
		var err error
		if s.have.RejectBytes, err = rejects.Sync(); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(&s.have, "", "  ")
	if err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	if err := vfs.WriteFileAtomic(s.disk, s.name, append(b, '\n')); err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	s.late = false
	return nil
}

// Done removes the file: there is nothing to resume.
func (s *State) Done() error {
	if err := s.disk.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove state: %w", err)
	}
	return nil
}
