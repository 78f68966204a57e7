package pushdown_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/varvedb/varve/lang/flux"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/pushdown"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
)

// BenchmarkRewrite rewrites the graph of a dashboard's question about so many
// hosts by name.
func BenchmarkRewrite(b *testing.B) {
	h := storagetest.New(b, nil, 1)
	for _, hosts := range []int{1, 100} {
		names := make([]string, hosts)
		for i := range names {
			names[i] = fmt.Sprintf("r.host == \"host_%d\"", i)
		}
		s, err := flux.Parse(`from(bucket: "b") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "cpu" and r._field == "u")
			|> filter(fn: (r) => ` + strings.Join(names, " or ") + `) |> aggregateWindow(every: 1m, fn: mean, createEmpty: false)`)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			var graph *flow.Node
			e, err := s.Run(b.Context(), flux.Options{Memory: h.Question, Host: h, Now: base, Rewrite: func(n *flow.Node) *flow.Node {
				graph = n
				return pushdown.Rewrite(n)
			}})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			e.Next()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				pushdown.Rewrite(graph)
			}
		})
	}
}
