package query

import "context"

type askerKey struct{}

// WithAsker returns a context that says who asks, in words for the log: the
// name or id of a token, never its secret.
func WithAsker(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, askerKey{}, name)
}

func askerOf(ctx context.Context) string {
	name, _ := ctx.Value(askerKey{}).(string)
	return name
}
