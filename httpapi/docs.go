package httpapi

import (
	_ "embed" // for the page
	"net/http"
)

// docsHTML is a page that reads openapi.json from beside it. It needs nothing
// from elsewhere.
//
//go:embed docs.html
var docsHTML []byte

// docsPolicy lets the page talk to this server alone.
const docsPolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// docsPage is GET /docs.
func docsPage(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	_, err := w.Write(docsHTML)
	return err
}
