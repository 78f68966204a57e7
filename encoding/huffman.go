package encoding

import (
	"fmt"

	"github.com/klauspost/compress/huff0"
)

// How a stream of symbols is stored, its first byte.
const (
	symbolsRaw   = 0
	symbolsSame  = 1
	symbolsHuff  = 2
	symbolsHuff4 = 3
)

// fourStreams is the number of symbols from which four streams are written:
// they decode side by side, and cost the jump table and a few bits of padding.
const fourStreams = 512

// minHuffman is the number of symbols below which the table costs more than
// the code gains.
const minHuffman = 32

// appendSymbols appends one byte for the kind of storage and the symbols.
func (e *Encoder) appendSymbols(dst, sym []byte) []byte {
	if len(sym) >= minHuffman {
		compress, kind := huff0.Compress1X, byte(symbolsHuff)
		if len(sym) >= fourStreams {
			compress, kind = huff0.Compress4X, symbolsHuff4
		}
		if e.huff == nil {
			e.huff = &huff0.Scratch{Reuse: huff0.ReusePolicyNone}
		}
		out, _, err := compress(sym, e.huff)
		switch err {
		case nil:
			return append(append(dst, kind), out...)
		case huff0.ErrUseRLE:
			return append(dst, symbolsSame, sym[0])
		}
		// huff0 has no other errors than that the input does not shrink.
	}
	return append(append(dst, symbolsRaw), sym...)
}

// symbols returns the n symbols of src, which belong to d or to src and hold
// until the next call.
func (d *Decoder) symbols(n int, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return nil, corrupt("no symbols")
	}
	kind, src := src[0], src[1:]
	switch kind {
	case symbolsRaw:
		if len(src) != n {
			return nil, corrupt("raw symbols of the wrong length")
		}
		return src, nil
	case symbolsSame:
		if len(src) != 1 {
			return nil, corrupt("one symbol of the wrong length")
		}
		d.sym = resize(d.sym, n)
		for i := range d.sym {
			d.sym[i] = src[0]
		}
		return d.sym, nil
	case symbolsHuff, symbolsHuff4:
		s, rest, err := huff0.ReadTable(src, d.huff)
		if err != nil {
			return nil, fmt.Errorf("%w: symbol table: %w", ErrCorrupt, err)
		}
		d.huff = s
		d.sym = resize(d.sym, n)
		var out []byte
		if kind == symbolsHuff {
			out, err = s.Decoder().Decompress1X(d.sym[:0:n], rest)
		} else {
			out, err = s.Decoder().Decompress4X(d.sym[:n:n], rest)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: symbols: %w", ErrCorrupt, err)
		}
		if len(out) != n {
			return nil, corrupt("wrong number of symbols")
		}
		return out, nil
	}
	return nil, corrupt("unknown kind of symbols")
}
