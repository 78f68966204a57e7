package lineproto

import "bytes"

var newline = []byte{'\n'}

// lineEnd returns where the line at b[i] ends: at a newline that is not
// within a string, or at the end of b. It follows the quotes of any line; of
// a good one it finds the end that the parser finds.
func lineEnd(b []byte, i int) int {
	end := bytes.IndexByte(b[i:], '\n')
	if end < 0 {
		end = len(b)
	} else {
		end += i
	}
	if bytes.IndexByte(b[i:end], '"') < 0 {
		return end
	}
	return quotedLineEnd(b, i)
}

// quotedLineEnd is lineEnd for lines that hold a quote.
func quotedLineEnd(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == 0) {
		i++
	}
	comment := i < len(b) && b[i] == '#'
	// A space, comma or equals sign behind a backslash is part of a name.
	plain := func(k int) bool { return b[k-1] != '\\' }

	if !comment {
		// Measurement and tags: up to a space.
		if i < len(b) && b[i] == '\n' {
			return i
		}
		for i++; i < len(b) && (b[i] != ' ' || !plain(i)); i++ {
			if b[i] == '\n' {
				return i
			}
		}
		for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == 0) {
			i++
		}
	fields:
		for i < len(b) {
			// Name: up to an equals sign.
			for ; i < len(b) && (b[i] != '=' || !plain(i)); i++ {
				if b[i] == '\n' {
					return i
				}
				if b[i] == ' ' && plain(i) {
					break fields
				}
			}
			i++
			// Value: a string, or up to a comma.
			if i < len(b) && b[i] == '"' {
				for i++; i < len(b) && b[i] != '"'; i++ {
					if b[i] == '\\' {
						i++
					}
				}
				i++
			}
			for ; i < len(b) && b[i] != ','; i++ {
				if b[i] == '\n' {
					return i
				}
				if b[i] == ' ' {
					break fields
				}
			}
			i++
		}
	}
	if i >= len(b) {
		return len(b)
	}
	// Time: no strings any more.
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(b)
}
