package step

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
)

func names() rule.Names {
	return rule.Names{Tags: []string{"device", "unit"}, Time: "ts",
		Fields: map[string]column.Type{"v": column.Float64, "n": column.Int64, "s": column.String, "w": 0}}
}

func declared(text string, n rule.Names) (*Declared, rule.Names, error) {
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		return nil, n, err
	}
	d, err := Declare(node.Content[0], "step", &n)
	return d, n, err
}

func reading() *record.Record {
	return &record.Record{Measurement: "m", Time: 5, Timed: true,
		Tags:   []record.Tag{{Key: "device", Value: "d1"}, {Key: "unit", Value: "F"}},
		Fields: []record.Field{{Name: "v", Value: record.Float(212)}, {Name: "n", Value: record.Int(3)}, {Name: "s", Value: record.String("x")}}}
}

func text(r *record.Record) string {
	var b strings.Builder
	b.WriteString(r.Measurement)
	for _, t := range r.Tags {
		fmt.Fprintf(&b, ",%s=%s", t.Key, t.Value)
	}
	for _, f := range r.Fields {
		fmt.Fprintf(&b, " %s=%s:%s", f.Name, f.Type, f.Text())
	}
	return b.String()
}

const unchanged = "m,device=d1,unit=F v=float:212 n=integer:3 s=string:x"

// TestLentTime: the time of a message, which one of Kafka always has, is none
// that the sender gave.
func TestLentTime(t *testing.T) {
	for _, name := range []string{"ts", "time"} {
		d, _, err := declared("require: ["+name+"]", names())
		if err != nil {
			t.Fatal(err)
		}
		r := reading()
		r.Lent = true
		ctx := NewContext()
		run := d.Begin()
		if got := run.Apply(ctx, r); got != Refuse || ctx.Reason != "missing_"+name {
			t.Errorf("require %s: %s, %s", name, got, ctx.Reason)
		}
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		step    string
		outcome Outcome
		want    string // of the record, or reason and detail
	}{
		{"require: [device, v, ts, time]", Pass, unchanged},
		{"require: [w]", Refuse, "missing_w: w is missing"},
		{"type: {v: int, n: float}", Changed, "m,device=d1,unit=F v=integer:212 n=float:3 s=string:x"},
		{"type: {w: float}", Pass, unchanged},
		{"range: {field: v, min: 212, max: 212}", Pass, unchanged},
		{"range: {field: v, max: 100}", Refuse, "v_out_of_range: v is 212, want at most 100"},
		{"range: {field: v, min: 300, reason: Too Cold}", Refuse, "too_cold: v is 212, want at least 300"},
		{"range: {field: w, min: 1}", Pass, unchanged},
		{"{range: {field: v, max: 100}, when: unit == 'C'}", Pass, unchanged},
		{"{range: {field: v, max: 100}, when: w > 1}", Refuse, "rule_error: when: w > 1: w is missing"},
		{"rule: v > 200", Pass, unchanged},
		{"rule: v < 200", Refuse, "rule: does not hold: v < 200"},
		{"rule: {that: v < 200, reason: hot, detail: it boils}", Refuse, "hot: it boils"},
		{"rule: w > 1", Refuse, "rule_error: w > 1: w is missing"},
		{"convert: {field: v, from: F, to: C}", Changed, "m,device=d1,unit=F v=float:100 n=integer:3 s=string:x"},
		{"convert: {field: v, from: mm, to: m, into: w}", Changed, unchanged + " w=float:0.212"},
		{"convert: {field: n, scale: 10, offset: 1}", Changed, "m,device=d1,unit=F v=float:212 n=float:31 s=string:x"},
		{"convert: {field: w, scale: 10}", Pass, unchanged},
		{"convert: {field: v, scale: 1e308}", Refuse, "not_finite: v is 212, which is too large to be converted"},
		{"set: {q: v / (n - 3)}", Refuse, "rule_error: q: v / (n - 3): the result is no finite number, as after a division by zero, where n is 3, v is 212"},
		{"set_tag: {q: v / (n - 3)}", Refuse, "rule_error: q: v / (n - 3): the result is no finite number, as after a division by zero, where n is 3, v is 212"},
		{"rename: {v: value, unit: u}", Changed, "m,device=d1,u=F value=float:212 n=integer:3 s=string:x"},
		{"rename: {w: z}", Pass, unchanged},
		{"{rename: {v: n}, when: v != nil}", Refuse, "name_taken: v cannot be called n, which the record has"},
		{"set: {double: v * 2, again: double + 1}", Changed, unchanged + " double=float:424 again=float:425"},
		{"set: {v: nil}", Changed, "m,device=d1,unit=F n=integer:3 s=string:x"},
		{"set: {x: 'w > 1'}", Refuse, "rule_error: x: w > 1: w is missing"},
		{"set: {x: '[1]'}", Refuse, "rule_error: x: [1]: a value may be a number, a text, true or false, not a list"},
		{"set_tag: {site: 'device + \"-a\"', unit: nil}", Changed, "m,device=d1,site=d1-a v=float:212 n=integer:3 s=string:x"},
		{"measurement: 's + \"_raw\"'", Changed, "x_raw,device=d1,unit=F v=float:212 n=integer:3 s=string:x"},
		{"measurement: 'nil'", Refuse, "no_measurement: nil gives no name"},
		{"remove: [v, unit]", Changed, "m,device=d1 n=integer:3 s=string:x"},
		{"remove: [w]", Pass, unchanged},
		{"keep: [v]", Changed, "m,device=d1,unit=F v=float:212"},
		{"drop: n == 3", Drop, "rule: n == 3"},
		{"drop: n == 4", Pass, unchanged},
		{"rate: {field: v, most: 1, flag: jump}", Pass, unchanged},
	} {
		d, _, err := declared(c.step, names())
		if err != nil {
			t.Errorf("%s: %v", c.step, err)
			continue
		}
		r, ctx, run := reading(), NewContext(), d.Begin()
		got := run.Apply(ctx, r)
		run.End(true)
		what := text(r)
		if got >= Drop {
			what = ctx.Reason + ": " + ctx.Detail
		}
		if got != c.outcome || what != c.want {
			t.Errorf("%s: %s\ngot  %s\nwant %s", c.step, got, what, c.want)
		}
		counts := d.Counts()
		if n := [4]uint64{counts.Passed, counts.Changed, counts.Dropped, counts.Refused}; n[c.outcome] != 1 || n[0]+n[1]+n[2]+n[3] != 1 {
			t.Errorf("%s: counts %v", c.step, n)
		}
		if c.outcome >= Drop && counts.Reasons[ctx.Reason] != 1 {
			t.Errorf("%s: reasons %v", c.step, counts.Reasons)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ step, says string }{
		{"{}", "a step needs a kind: one of "},
		{"{range: {field: v, min: 1}, rule: v > 1}", "a step has one kind"},
		{"require: []", "want the names"},
		{"require: [valve]", `records have no "valve" here`},
		{"range: {field: v}", "want min, max or both"},
		{"range: {field: v, min: 3, max: 1}", "3 is above max, 1"},
		{"range: {field: vv, min: 3}", "did you mean v?"},
		{"range: {min: 3}", "step.range.field: is missing"},
		{"rule: v >", "unexpected token"},
		{"rule: s > 3", "> does not go with a text and a whole number"},
		{"rule: {reason: x}", "step.rule.that: is missing"},
		{"type: {v: number}", "want float, int, uint, string or bool"},
		{"convert: {field: v, from: C, to: bar}", "bar is a unit of pressure, C one of temperature"},
		{"convert: {field: v, from: C, to: X}", `unknown unit "X"`},
		{"convert: {field: v}", "want from and to"},
		{"convert: {field: v, from: C, to: F, scale: 2}", "not both"},
		{"convert: {field: v, scale: inf}", "want a finite number"},
		{"set: {device: v}", "is a tag"},
		{"set_tag: {v: device}", "is a field"},
		{"set: {}", "want names and expressions"},
		{"rename: {v: ''}", "the new name is empty"},
		{"drop: device", "want true or false"},
		{"range: {field: device, min: 3}", `1:16: step.range.field: "device" is a tag, and a field that is a number is wanted: decode it as a field, or look at the tag with rule`},
		{"range: {field: s, min: 3}", `1:16: step.range.field: "s" is a text, and a number is wanted: decode it as float, or look at it with rule`},
		{"range: {field: ts, min: 3}", `1:16: step.range.field: "ts" is the time of the reading, and a field that is a number is wanted: name one, or look at the time with rule or late`},
		{"type: {v: float, device: float}", `1:18: step.type.device: "device" is a tag, and a field is wanted`},
		{"type: {s: float}", "1:11: step.type.s: records that have s are refused, because it is a text, and only numbers change their type: decode it as float"},
		{"convert: {field: s, scale: 2}", `1:18: step.convert.field: "s" is a text, and a number is wanted`},
		{"convert: {field: v, scale: 2, into: unit}", `1:37: step.convert.into: "unit" is a tag, and cannot be a field too`},
		{"convert: {field: v, scale: 2, into: time}", "1:37: step.convert.into: time is the time of the reading"},
		{"zscore: {field: s, flag: a}", `1:17: step.zscore.field: "s" is a text, and a number is wanted`},
		{"zscore: {field: v, flag: a, by: [unit, devcie]}", `1:40: step.zscore.by: records have no "devcie" here; did you mean device?`},
		{"zscore: {field: v, flag: a, by: v}", `1:33: step.zscore.by: "v" is a field, and a tag is wanted: make one of it before, with decode or set_tag`},
		{"sample: {every: 2, by: [s]}", `1:25: step.sample.by: "s" is a field`},
		{"deduplicate: {key: [device, zz]}", `1:29: step.deduplicate.key: records have no "zz" here`},
		{"deduplicate: {key: [device, ts]}", "1:29: step.deduplicate.key: a key is of tags and fields: without key the time counts too"},
		{"deduplicate: {by: [zz]}", "there is no such key"},
		{"mad: {field: v, flag: v}", `1:23: step.mad.flag: "v" is the field that is judged, and its value would be lost: choose another name`},
		{"mad: {field: v, flag: a, into: a}", `"a" is written already by this step`},
		{"mad: {field: v, flag: device}", `"device" is a tag, and cannot be a field too`},
		{"mad: {field: v, label: {b: x, v: y}}", `1:31: step.mad.label.v: "v" is the field that is judged`},
		{"mad: {field: v, tags: {b: x, n: y}}", `1:30: step.mad.tags.n: "n" is a field, and cannot be a tag too`},
		{"late: {after: 1h, flag: time}", "time is the time of the reading"},
		{"rename: {v: s}", "1:13: step.rename.v: records may have s already, and are refused then: remove it before, or write when: s == nil"},
		{"rename: {v: v}", "records may have v already"},
		{"rename: {v: time}", "1:13: step.rename.v: time is the time of the reading"},
		{"rename: {ts: t}", `1:10: step.rename.ts: "ts" is the time of the reading, and a tag or a field is wanted`},
		{"remove: [v, time]", `1:13: step.remove: "time" is the time of the reading`},
		{"keep: [v, device]", "1:11: step.keep: keep is for fields: the time and tags stay in any case, so leave device out"},
		{"keep: [v, ts]", `"ts" is the time of the reading, and a field is wanted`},
		{"set: {time: now}", "1:7: step.set.time: time is the time of the reading, and no tag or field can be called so: choose another name"},
		{"set_tag: {a: device, time: device}", "1:22: step.set_tag.time: time is the time of the reading"},
		{"{drop: v > 1, when: n}", "want true or false"},
		{"deduplicate: {field: v}", "there is no such key"},
		{"zscore: {field: valve, flag: a}", `records have no "valve" here`},
	} {
		if _, _, err := declared(c.step, names()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want …%s…", c.step, err, c.says)
		}
	}
}

// TestOpenNames: where records may have anything, what is not known is not a mistake,
// and shows when a record comes.
func TestOpenNames(t *testing.T) {
	n := rule.Names{Tags: []string{"device"}, Fields: map[string]column.Type{}, Open: true}
	for _, c := range []struct {
		step    string
		outcome Outcome
		want    string
	}{
		{"type: {s: float}", Refuse, "wrong_type: s is x, want float"},
		{"range: {field: s, min: 1}", Refuse, "wrong_type: s is not a number"},
		{"convert: {field: s, scale: 10}", Refuse, "wrong_type: s is not a number"},
		{"rename: {v: n}", Refuse, "name_taken: v cannot be called n, which the record has"},
		{"range: {field: unit, min: 1}", Pass, unchanged},
		{"zscore: {field: v, flag: a, by: [zz]}", Pass, unchanged},
		{"deduplicate: {key: [zz]}", Pass, unchanged},
	} {
		d, _, err := declared(c.step, n.Clone())
		if err != nil {
			t.Errorf("%s: %v", c.step, err)
			continue
		}
		r, ctx, run := reading(), NewContext(), d.Begin()
		got := run.Apply(ctx, r)
		run.End(true)
		what := text(r)
		if got >= Drop {
			what = ctx.Reason + ": " + ctx.Detail
		}
		if got != c.outcome || what != c.want {
			t.Errorf("%s: %s\ngot  %s\nwant %s", c.step, got, what, c.want)
		}
	}
	if _, _, err := declared("range: {field: device, min: 1}", n); err == nil {
		t.Error("a tag that is known is a mistake there too")
	}
}

// TestSometimes: behind a step that does not always apply, records have the names
// of before or those of after.
func TestSometimes(t *testing.T) {
	for _, c := range []struct{ step, then string }{
		{"{remove: [s], when: n == 3}", "rule: s == 'x'"},
		{"{keep: [n], when: n == 3}", "range: {field: v, min: 1}"},
		{"{rename: {v: a}, when: n == 3}", "rule: (v ?? a) > 1"},
		{"{set: {v: s}, when: n == 3}", "range: {field: v, min: 1}"},
		{"{rename: {v: n}, when: n == nil}", "range: {field: n, min: 1}"},
	} {
		_, after, err := declared(c.step, names())
		if err != nil {
			t.Errorf("%s: %v", c.step, err)
			continue
		}
		if _, _, err := declared(c.then, after); err != nil {
			t.Errorf("%s behind %s: %v", c.then, c.step, err)
		}
	}
	if _, after, _ := declared("{set: {v: s}, when: n == 3}", names()); after.Fields["v"] != 0 {
		t.Error("the type of v is known behind a step that sometimes changes it")
	}
}

// TestNames: a step sees what those before it made, and not what they took away.
func TestNames(t *testing.T) {
	for _, c := range []struct{ step, then string }{
		{"set: {a: v * 2}", "rule: a > 1"},
		{"set_tag: {a: device}", "rule: a == 'x'"},
		{"rename: {v: a}", "range: {field: a, min: 1}"},
		{"convert: {field: v, scale: 2, into: a}", "rule: a > 1"},
		{"zscore: {field: v, into: a, label: {b: x}, tags: {c: y}}", "rule: a > 1 && b == 'x' && c == 'y'"},
		{"mad: {field: v, flag: a}", "rule: not a"},
	} {
		_, after, err := declared(c.step, names())
		if err != nil {
			t.Errorf("%s: %v", c.step, err)
			continue
		}
		if _, _, err := declared(c.then, after); err != nil {
			t.Errorf("%s behind %s: %v", c.then, c.step, err)
		}
	}
	for _, step := range []string{"remove: [v]", "rename: {v: a}", "keep: [n]"} {
		_, after, err := declared(step, names())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := declared("rule: v > 1", after); err == nil {
			t.Errorf("v is there behind %s", step)
		}
	}
}

// TestMarkersPass: what has no finite value has no unit, and stays the NaN that it is.
func TestMarkersPass(t *testing.T) {
	d, _, err := declared("convert: {field: v, scale: 2}", names())
	if err != nil {
		t.Fatal(err)
	}
	const stale = 0x7ff0000000000002
	r := reading()
	r.Set("v", record.Value{Type: column.Float64, Word: stale})
	run := d.Begin()
	if o := run.Apply(NewContext(), r); o != Pass || r.Field("v").Word != stale {
		t.Errorf("%s, %#x", o, r.Field("v").Word)
	}
}

// TestDeletesPass: what a source takes back is no reading to judge.
func TestDeletesPass(t *testing.T) {
	d, _, err := declared("require: [w]", names())
	if err != nil {
		t.Fatal(err)
	}
	r := reading()
	r.Delete = true
	run := d.Begin()
	if o := run.Apply(NewContext(), r); o != Pass {
		t.Errorf("a delete is %s", o)
	}
}

// TestConcurrent: runs of one step add up.
func TestConcurrent(t *testing.T) {
	d, _, err := declared("range: {field: v, max: 100}", names())
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			ctx := NewContext()
			for range 100 {
				run := d.Begin()
				good := reading()
				good.Set("v", record.Float(1))
				run.Apply(ctx, good)
				run.Apply(ctx, reading())
				run.End(true)
			}
		})
	}
	wait.Wait()
	if diff := cmp.Diff(Counts{Passed: 400, Refused: 400, Reasons: map[string]uint64{"v_out_of_range": 400}}, d.Counts()); diff != "" {
		t.Error(diff)
	}
}

// TestUnits: each unit turns into the others of its quantity and back.
func TestUnits(t *testing.T) {
	all := units()
	for a, ua := range all {
		for b, ub := range all {
			if ua.quantity != ub.quantity {
				continue
			}
			r := reading()
			r.Set("v", record.Float(12.5))
			for _, text := range []string{fmt.Sprintf("convert: {field: v, from: %q, to: %q}", a, b), fmt.Sprintf("convert: {field: v, from: %q, to: %q}", b, a)} {
				d, _, err := declared(text, names())
				if err != nil {
					t.Fatal(err)
				}
				run := d.Begin()
				run.Apply(NewContext(), r)
			}
			if f, _ := r.Field("v").Number(); f < 12.4999999 || f > 12.5000001 {
				t.Errorf("%s to %s and back: %g", a, b, f)
			}
		}
	}
}
