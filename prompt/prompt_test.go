package prompt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestComplete(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                true,
		`from(bucket: "b") |> range()`:    true,
		`from(bucket: "b")`:               false,
		`x = from(bucket: "b")`:           false,
		"from(bucket: \"b\")\n":           true,
		"from(bucket: \"b\")\n  ":         true,
		"from(bucket: \"b\")\n|> range()": true,
		`from(bucket: "b") |>`:            false,
		`from(bucket: "b`:                 false,
		`f = (r) => {`:                    false,
		"f = (r) => {\nreturn r":          false,
		`f = (r) =>`:                      false,
		`buckets()`:                       true,
		`1 + `:                            false,
		`foo(]`:                           true, // wrong however it goes on
		`import "strings"`:                true,
		`"a ${b`:                          false,
		`help`:                            true,
	} {
		if got := complete(text); got != want {
			t.Errorf("%q is complete: %v, want %v", text, got, want)
		}
	}
}

// fake is a server that notes what it is asked.
type fake struct {
	asked, checked chan Script
	wait           atomic.Bool // until the question is cancelled
	fail           error
}

func (f *fake) Ask(ctx context.Context, s Script) error {
	f.asked <- s
	if f.wait.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.fail
}

func (f *fake) Check(_ context.Context, s Script) error {
	f.checked <- s
	return f.fail
}

func (f *fake) Functions(context.Context) ([]Function, error) {
	return []Function{
		{Name: "from", Params: map[string]string{"bucket": "string", "host": "string"}},
		{Name: "range", Params: map[string]string{"start": "time|duration", "stop": "time"}},
		{Name: "strings.split", Import: "strings", Params: map[string]string{"v": "string", "t": "string"}},
		{Name: "regexp.split", Import: "regexp"},
	}, nil
}

func (f *fake) Buckets(context.Context) ([]string, error) { return []string{"default", "sensors"}, nil }

func newFake() *fake {
	return &fake{asked: make(chan Script, 10), checked: make(chan Script, 10)}
}

func TestDefinitions(t *testing.T) {
	f := newFake()
	s := &session{server: f, base: context.Background()}
	for _, text := range []string{
		"import \"math\"\nx = 1\ny = x +\n  1", "x = 2", "option now = () => 2020-01-01T00:00:00Z", `import m "math"`,
	} {
		if err := s.run(text); err != nil {
			t.Fatal(err)
		}
		if sc := <-f.checked; sc.Typed != text {
			t.Errorf("checked %q", sc.Typed)
		}
	}
	f.fail = errors.New("no")
	if err := s.run("z = nothing"); err == nil {
		t.Error("no error")
	}
	<-f.checked
	f.fail = nil
	if err := s.run("  import \"strings\"\nbuckets()"); err != nil {
		t.Fatal(err)
	}
	want := Script{
		Typed:  "  import \"strings\"\nbuckets()",
		Whole:  "import \"math\"\nimport m \"math\"\nimport \"strings\"\ny = x +\n  1\nx = 2\noption now = () => 2020-01-01T00:00:00Z\n                  \nbuckets()",
		Before: 7,
	}
	if diff := cmp.Diff(want, <-f.asked); diff != "" {
		t.Error(diff)
	}
	// What is wrong is sent as it is, so that the server says why.
	if err := s.run("rnge(]"); err != nil {
		t.Fatal(err)
	}
	if got := (<-f.asked).Whole; !strings.HasSuffix(got, "\nrnge(]") {
		t.Errorf("asked %q", got)
	}
}

func TestCompletion(t *testing.T) {
	s := &session{server: newFake(), base: context.Background(), definitions: []definition{{"data", "data = 1"}, {"option now", ""}}}
	for text, want := range map[string]struct {
		begun string
		words []string
	}{
		`fr`:                         {"fr", []string{"from("}},
		`x = da`:                     {"da", []string{"data"}},
		`from(bucket: "`:             {"", []string{`default"`, `sensors"`}},
		`from(bucket: "se`:           {"se", []string{`sensors"`}},
		`from(bucket: "x") |> ra`:    {"ra", []string{"range("}},
		`range(st`:                   {"st", []string{"start: ", "stop: ", "strings.split("}},
		`range(start: -1h, st`:       {"st", []string{"start: ", "stop: ", "strings.split("}},
		`range(start: st`:            {"st", []string{"strings.split("}},
		`import "re`:                 {"re", []string{`regexp"`}},
		`strings.s`:                  {"strings.s", []string{"strings.split("}},
		"buckets()\n|> ra":           {"ra", []string{"range("}},
		`filter(fn: (r) => r.x == "`: {"", nil},
		`f(x: [range(st`:             {"st", []string{"start: ", "stop: ", "strings.split("}},
		`range(x: {st`:               {"st", []string{"strings.split("}},
		`ret`:                        {"ret", []string{"return"}},
	} {
		c := s.complete(text)
		var got []string
		for _, w := range c.words {
			got = append(got, w.text)
		}
		if diff := cmp.Diff(want.words, got); diff != "" || c.begun != want.begun {
			t.Errorf("%q: begun %q; %s", text, c.begun, diff)
		}
	}
}

func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "varve", "flux-history")
	h, err := openHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a\n  |> b() // why\n  |> c(x: \"//\n\\\"\")", "x = 1", "x = 1"} {
		if err := h.keep(text); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{filepath.Dir(file): 0o700, file: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
	// A torn line does no harm.
	torn, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = torn.WriteString("\"half of a")
	}
	if err := errors.Join(err, torn.Close()); err != nil {
		t.Fatal(err)
	}
	if h, err = openHistory(file); err != nil || h.Len() != 2 {
		t.Fatalf("%d entries, %v", h.Len(), err)
	}
	if got, want := h.At(1), `a |> b() |> c(x: "//\n\"")`; got != want || h.At(0) != "x = 1" {
		t.Errorf("%q, %q; want %q first", got, h.At(0), want)
	}
	// It does not grow without end.
	var b strings.Builder
	for i := range 2*maxHistory + 1 {
		b.WriteString(strconv.Quote(strconv.Itoa(i)) + "\n")
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if h, err = openHistory(file); err != nil || h.Len() != maxHistory || h.At(0) != strconv.Itoa(2*maxHistory) {
			t.Fatalf("%d entries, %v", h.Len(), err)
		}
	}
	if h, err = openHistory(filepath.Join(file, "below")); err == nil || h.keep("x") != nil || h.At(0) != "x" {
		t.Errorf("history below a file: %v", err)
	}
}

// screen is what a terminal shows, as far as text goes.
type screen struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}

// openTerminal returns both ends of a terminal: that of the user, and that of
// the program.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return user, program
}

// patience is how long a step may take on a machine that does other things.
const patience = 20 * time.Second

func receive(t *testing.T, what string, from <-chan Script, shown *screen) Script {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(patience):
		t.Fatalf("no script was %s; the terminal shows %q", what, shown)
		return Script{}
	}
}

func TestConversation(t *testing.T) {
	user, program := openTerminal(t)
	shown := &screen{}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := user.Read(buf)
			_, _ = shown.Write(buf[:n]) // a buffer takes everything
			if err != nil {
				return
			}
		}
	}()
	f := newFake()
	left := make(chan error, 1)
	go func() {
		left <- Run(context.Background(), Config{Server: f, In: program, Out: program, Greeting: "hello", History: filepath.Join(t.TempDir(), "history")})
	}()
	await := func(text string) {
		t.Helper()
		for end := time.Now().Add(patience); !strings.Contains(shown.String(), text); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the terminal never showed %q: %q", text, shown)
			}
		}
	}
	// typed types when the program reads keys, after so many prompts.
	prompts := 0
	typed := func(keys string) {
		t.Helper()
		prompts++
		for end := time.Now().Add(patience); strings.Count(shown.String(), prompt) < prompts; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the terminal never showed prompt %d: %q", prompts, shown)
			}
		}
		if _, err := user.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	await("hello")
	await(prompt)
	// A statement of two lines, its words completed.
	typed("fr\tbu\t\"d\t)\r|> ra\tsta\t-1h)\r")
	want := "from(bucket: \"default\")\n|> range(start: -1h)"
	if s := receive(t, "asked", f.asked, shown); s.Typed != want || s.Whole != want {
		t.Errorf("asked %+v, want %q", s, want)
	}
	// Pasted lines are one statement, run by Enter.
	typed("\x1b[200~x = 5\ry = x\r\x1b[201~")
	await("y = x\r\n")
	prompts--
	typed("\r")
	if s := receive(t, "checked", f.checked, shown); s.Typed != "x = 5\ny = x\n" {
		t.Errorf("checked %+v", s)
	}
	// Ctrl-C forgets a line, the history brings one back.
	typed("nonsense(\r1 + \x03")
	typed("range\x12\r")
	want = `from(bucket: "default") |> range(start: -1h)`
	if s := receive(t, "asked", f.asked, shown); s.Typed != want || s.Whole != "x = 5\ny = x\n"+want || s.Before != 2 {
		t.Errorf("asked %+v, want %q", s, want)
	}
	// An interrupt ends a question, and what comes behind it is answered.
	f.wait.Store(true)
	typed("\x1b[A\r")
	receive(t, "asked", f.asked, shown)
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	await("cancelled")
	typed("help\r")
	await("Tab      completes")
	typed("\x04")
	select {
	case err := <-left:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatalf("the conversation did not end: %q", shown)
	}
}

func TestTerminated(t *testing.T) {
	user, program := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() {
		left <- Run(context.Background(), Config{Server: newFake(), In: program, Out: program, Greeting: "hello"})
	}()
	buf := make([]byte, 4096)
	var shown string
	for !strings.Contains(shown, prompt) {
		n, err := user.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(buf[:n])
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-left:
		if !errors.Is(err, errTerminated) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the conversation did not end")
	}
	after, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %v, %v", after, err)
	}
}
