package remotewrite_test

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Messages as the tests write them, by Google's library for the encoding.

type series struct {
	labels     []string // names and values by turns
	samples    []point
	exemplars  int
	histograms []native
	metadata   bool
}

type point struct {
	value float64
	at    int64
}

type native struct {
	at            int64
	count         uint64
	sum           float64
	schema        int64
	zeroThreshold float64
	zeroCount     uint64
	negativeSpans [][2]int64
	negative      []int64 // differences
	positiveSpans [][2]int64
	positive      []int64
	floats        []float64 // of positive buckets, instead
	bounds        []float64
}

func blob(b []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), message)
}

func varint(b []byte, number protowire.Number, w uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), w)
}

func double(b []byte, number protowire.Number, f float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, number, protowire.Fixed64Type), math.Float64bits(f))
}

func message1(all []series, metadata int) []byte {
	var out []byte
	for _, s := range all {
		var m []byte
		for i := 0; i+1 < len(s.labels); i += 2 {
			m = blob(m, 1, blob(blob(nil, 1, []byte(s.labels[i])), 2, []byte(s.labels[i+1])))
		}
		for _, p := range s.samples {
			m = blob(m, 2, varint(double(nil, 1, p.value), 2, uint64(p.at)))
		}
		for range s.exemplars {
			m = blob(m, 3, double(nil, 2, 1))
		}
		for _, h := range s.histograms {
			m = blob(m, 4, h.message())
		}
		out = blob(out, 1, m)
	}
	for range metadata {
		out = blob(out, 3, varint(nil, 1, 1))
	}
	return out
}

func message2(all []series) []byte {
	symbols := []string{""}
	number := map[string]uint64{"": 0}
	var bodies [][]byte
	for _, s := range all {
		var refs []byte
		for _, l := range s.labels {
			if _, ok := number[l]; !ok {
				number[l] = uint64(len(symbols))
				symbols = append(symbols, l)
			}
			refs = protowire.AppendVarint(refs, number[l])
		}
		m := blob(nil, 1, refs)
		for _, p := range s.samples {
			m = blob(m, 2, varint(double(nil, 1, p.value), 2, uint64(p.at)))
		}
		for _, h := range s.histograms {
			m = blob(m, 3, h.message())
		}
		for range s.exemplars {
			m = blob(m, 4, double(nil, 2, 1))
		}
		if s.metadata {
			m = blob(m, 5, varint(nil, 1, 2))
		}
		bodies = append(bodies, m)
	}
	var out []byte
	for _, s := range symbols {
		out = blob(out, 4, []byte(s))
	}
	for _, m := range bodies {
		out = blob(out, 5, m)
	}
	return out
}

func (h native) message() []byte {
	m := varint(nil, 1, h.count)
	m = double(m, 3, h.sum)
	m = varint(m, 4, protowire.EncodeZigZag(h.schema))
	m = double(m, 5, h.zeroThreshold)
	m = varint(m, 6, h.zeroCount)
	for _, s := range h.negativeSpans {
		m = blob(m, 8, varint(varint(nil, 1, protowire.EncodeZigZag(s[0])), 2, uint64(s[1])))
	}
	m = blob(m, 9, packed(h.negative))
	for _, s := range h.positiveSpans {
		m = blob(m, 11, varint(varint(nil, 1, protowire.EncodeZigZag(s[0])), 2, uint64(s[1])))
	}
	m = blob(m, 12, packed(h.positive))
	m = blob(m, 13, packedFloats(h.floats))
	m = varint(m, 15, uint64(h.at))
	return blob(m, 16, packedFloats(h.bounds))
}

func packed(deltas []int64) []byte {
	var b []byte
	for _, d := range deltas {
		b = protowire.AppendVarint(b, protowire.EncodeZigZag(d))
	}
	return b
}

func packedFloats(floats []float64) []byte {
	var b []byte
	for _, f := range floats {
		b = protowire.AppendFixed64(b, math.Float64bits(f))
	}
	return b
}
