// Package spelling finds what was meant by a name that is not there. Errors about
// settings, flags, measurements and scripts call it. Its functions are pure.
package spelling

// Nearest returns the one of names that is most like name, or nothing where
// none is so near that it can be meant: a slip or two in short names, a third of
// long ones.
func Nearest(name string, names []string) string {
	return Within(max(2, len(name)/3), name, names)
}

// Within returns the one of names that takes the fewest edits to be made of name,
// or nothing where that takes more than so many.
func Within(most int, name string, names []string) string {
	nearest := ""
	for _, n := range names {
		if d := edits(name, n); d < most || d == most && nearest == "" {
			most, nearest = d, n
		}
	}
	return nearest
}

// edits counts the bytes to insert, remove, replace or swap with their
// neighbour that make b of a: the optimal string alignment distance.
func edits(a, b string) int {
	before, above := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
