package pipeline

import _ "embed"

//go:embed builtin.yaml
var builtin string

// Builtin returns the file of pipelines that comes with the program.
func Builtin() string { return builtin }
