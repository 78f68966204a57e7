package shard

import (
	"path/filepath"

	"github.com/varvedb/varve/segment"
)

// Damaged takes note of damage that a reader of a snapshot came upon, so that
// Stats tells of it. It does nothing if the file is another shard's.
func (s *Shard) Damaged(c *segment.CorruptError) {
	if filepath.Dir(c.File) != filepath.Join(s.cfg.Dir, segmentDir) || s.problems.know(c.File) {
		return
	}
	s.problems.add(c.File, c)
	s.cfg.Logger.Error("a segment is damaged: queries that need what is damaged fail", "shard", s.cfg.ID, "file", c.File, "error", c)
}

// know reports whether something was found wrong with a file.
func (p *problems) know(file string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.byFile[file]
	return ok
}
